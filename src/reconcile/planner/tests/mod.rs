//! The planner's tests: a model and a state as text, the plan as text.

mod changes;
mod notation;
mod stored;
mod up;
