//! Building images: a Dockerfile becomes a graph of steps, and that an image.
//!
//! [`request`] is what is asked, [`drive`] goes from there to an image: it reads
//! the Dockerfile (the module `dockerfile`), has it planned ([`graph`], pure), has the
//! bases, and walks the plan ([`solve`]).

mod contexts;
pub mod diagnose;
pub mod drive;
mod fetch;
pub mod graph;
pub mod ignore;
pub mod ignore_file;
pub mod look;
pub mod outputs;
mod paths;
pub mod request;
pub mod shared_cache;
pub mod solve;
pub mod spooled;

#[cfg(test)]
mod tests;
