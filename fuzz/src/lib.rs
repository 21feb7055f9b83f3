//! The loader and the reader of Dockerfiles alone, compiled from their sources:
//! nothing of the engine is in here, so a build with coverage is small and quick.

#[allow(unused_imports, reason = "what the rest of the program uses of it is not here")]
#[path = "../../src/compose/mod.rs"]
pub mod compose;

#[allow(unused_imports, reason = "what the rest of the program uses of it is not here")]
#[path = "../../src/dockerfile/mod.rs"]
pub mod dockerfile;

pub mod project;
pub mod unreadable;
