//! The loader and the reader of Dockerfiles alone, compiled from their sources:
//! nothing of the engine is in here, so a build with coverage is small and quick.

#[path = "../../src/compose/mod.rs"]
pub mod compose;

#[path = "../../src/dockerfile/mod.rs"]
pub mod dockerfile;
