//! Building images: a Dockerfile becomes a graph of steps, and that an image.

pub mod diagnose;
pub mod graph;
pub mod ignore;
mod paths;

#[cfg(test)]
mod tests;
