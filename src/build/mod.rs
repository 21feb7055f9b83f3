//! Building images: a Dockerfile becomes a graph of steps, and that an image.

pub mod graph;
