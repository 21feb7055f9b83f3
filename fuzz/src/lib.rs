//! The loader alone, compiled from its sources: nothing of the engine is in
//! here, so a build with coverage is small and quick.

#[path = "../../src/compose/mod.rs"]
pub mod compose;
