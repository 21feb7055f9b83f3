//! `ONBUILD`: instructions that a base image has for those built upon it.

use super::stages::Todo;
use crate::dockerfile::{Problem, Span, trigger};

/// Reads a trigger. What is wrong with it is told at the `FROM`.
///
/// # Errors
/// Not one instruction, or one that is wrong.
pub(super) fn read(text: &str, at: Span) -> Result<Todo, Problem> {
    let instruction = trigger(text).map_err(|problem| Problem {
        at,
        message: format!("the trigger `{text}` of the base: {}", problem.message),
        ..problem
    })?;
    Ok(Todo {
        instruction,
        trigger: Some(at),
        origins: Vec::new(),
    })
}
