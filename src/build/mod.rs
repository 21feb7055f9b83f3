//! Building images: a Dockerfile becomes a graph of steps, and that an image.
//!
//! [`request`] is what is asked, [`drive`] goes from there to an image: it reads
//! the Dockerfile (the module `dockerfile`), has it planned ([`graph`], pure), has the
//! bases, and walks the plan ([`solve`]).

pub mod diagnose;
pub mod drive;
pub mod graph;
pub mod ignore;
mod paths;
pub mod remote;
pub mod request;
pub mod solve;

#[cfg(test)]
mod tests;
