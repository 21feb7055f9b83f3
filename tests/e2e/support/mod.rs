//! The harness: what a test stands on.
//!
//! [`isolated`] gives each test namespaces and folders of its own and checks
//! afterwards that nothing is left of it. [`Sandbox`] runs the real binary in
//! there; [`Project`] is a folder with a Compose file. The rest are the outside
//! world: images, a registry, HTTP, terminals.

mod fixtures;
mod git;
mod helpers;
mod http;
mod image;
mod isolate;
mod leaks;
mod line;
mod proc;
mod process;
mod pty;
mod registry;
mod sandbox;
mod server;
mod tls;
mod wait;

pub(crate) use fixtures::{DEAF, SLEEPER, deaf, noise};
pub(crate) use git::{Repository, answer_git};
pub(crate) use helpers::{helpers, kill_hard, send};
pub(crate) use http::{free_port, http_get, http_request, raw_listener};
pub(crate) use image::Image;
pub(crate) use isolate::{isolated, isolated_after};
pub(crate) use line::{Line, Trouble, Way};
pub(crate) use proc::{processes, status_field};
pub(crate) use process::{Background, Invocation, Output};
pub(crate) use pty::Terminal;
pub(crate) use registry::Registry;
pub(crate) use sandbox::{PATH, Project, Sandbox, files_below, program};
pub(crate) use server::{Answer, Request, serve_http};
pub(crate) use tls::{make_certificates, serve_https, serve_proxy};
pub(crate) use wait::{DEADLINE, wait_exit};
