//! SIGKILL of keeper and supervisor.
