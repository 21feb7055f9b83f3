//! The loader and the reader of Dockerfiles alone, compiled from their sources:
//! nothing of the engine is in here, so a build with coverage is small and quick.

#[allow(unused_imports, reason = "what the rest of the program uses of it is not here")]
#[path = "../../src/compose/mod.rs"]
pub mod compose;

#[allow(unused_imports, dead_code, reason = "what the rest of the program uses of it is not here")]
#[path = "../../src/dockerfile/mod.rs"]
pub mod dockerfile;

#[allow(dead_code, reason = "what the rest of the program uses of it is not here")]
#[path = "../../src/similar.rs"]
mod similar;

pub mod project;
pub mod unreadable;
