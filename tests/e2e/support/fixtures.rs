//! Services that many tests run.

/// A command that ends at once when it is asked to.
pub(crate) const SLEEPER: &str = "command: [sh, -c, \"trap 'exit 0' TERM; sleep 1000 & wait\"]";

/// What a service says and does that is asked to end, and does not.
pub(crate) const DEAF: &str = "stop_grace_period: 1h
    command: [sh, -c, \"trap 'echo no' TERM; echo ready; while :; do sleep 1000 & wait; done\"]";

/// A file with one such service; with another value of `$A` it is recreated.
pub(crate) fn deaf(name: &str) -> String {
    format!(
        "services:\n  {name}:\n    image: test/busybox\n    environment: {{A: \"${{A:-1}}\"}}\n    {DEAF}\n"
    )
}

/// So many bytes that no compression makes less, the same each time.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(bytes).collect()
}
