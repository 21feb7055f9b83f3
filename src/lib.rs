//! skiff: reads a Compose file and runs it, with its own container engine,
//! image puller and networks, and without a daemon.
//!
//! The modules form layers, and uses point downwards only:
//!
//! ```text
//! cli -> ui, watch -> reconcile -> build, supervise -> engine, image, net -> state -> event, env, causes, similar
//! ```
//!
//! `compose` stands alone, but for `similar`: text in, [`compose`] model out, no
//! engine and no network; `cli`, `watch`, `reconcile` and `build` may read its model. So does
//! `dockerfile`, the reader of Dockerfiles. `toolbox` holds the applets of the
//! built-in image. `ARCHITECTURE.md` tells the story of an `up`
//! through these layers.

// What unit tests share with those in `tests/` speaks of the library by its name.
#[cfg(test)]
extern crate self as skiff;

pub mod build;
mod causes;
pub mod cli;
pub mod compose;
pub mod dockerfile;
pub mod engine;
pub mod env;
pub mod event;
pub mod image;
pub mod net;
pub mod reconcile;
mod similar;
pub mod state;
pub mod supervise;
pub mod toolbox;
pub mod ui;
pub mod watch;
