//! What `config` prints and cannot read again as the same: it is printed as Docker
//! Compose prints it, which cannot, either.

/// Such a case.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// Its name in `tests/golden/config/unreadable.txt`, which has an example.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test holds the two together"))]
    pub(super) id: &'static str,
    /// What is written.
    pub(super) written: &'static str,
    /// What becomes of it.
    pub(super) becomes: &'static str,
}

/// Every case.
pub(super) const CASES: &[Unreadable] = &[
    Unreadable {
        id: "host-twice",
        written: "one entry of `extra_hosts` in two spellings (`a:1.1.1.1`, `a=1.1.1.1`), or in two files",
        becomes: "is printed twice, and refused: the entries of a list differ",
    },
    Unreadable {
        id: "host-comma",
        written: "an address of `extra_hosts` with a comma in it (`1.1.1.1,2.2.2.2`)",
        becomes: "is read as two addresses",
    },
    Unreadable {
        id: "name-empty",
        written: "a variable, a label, a build argument or a `sysctl` without a name (`=x`)",
        becomes: "is printed as `\"\": x`, and refused: a key has a name",
    },
    Unreadable {
        id: "dollar-key",
        written: "a key with a dollar in it",
        becomes: "has it doubled, and variables in keys are not replaced when it is read",
    },
    Unreadable {
        id: "build-empty",
        written: "`build: \"\"`",
        becomes: "is printed without `context`, and has the project's folder when it is read",
    },
    Unreadable {
        id: "target-zero",
        written: "`target: 0` of a port",
        becomes: "is left out, and the port refused: it needs one",
    },
    Unreadable {
        id: "content-empty",
        written: "`content: \"\"` of a config",
        becomes: "is left out, and the config refused: it has no source",
    },
    Unreadable {
        id: "capabilities-empty",
        written: "`capabilities: []` of a reserved device",
        becomes: "is left out, and the device refused: it needs them",
    },
    Unreadable {
        id: "devices-none",
        written: "`count: 0` of `gpus` or of reserved devices",
        becomes: "is left out, and all devices are meant when it is read",
    },
    Unreadable {
        id: "optional-of-profile",
        written: "a dependency with `required: false` on a service of a profile that is not active",
        becomes: "is printed without that service, and refused: there is no such service",
    },
    Unreadable {
        id: "number-and-text",
        written: "a number and the same as a text in `group_add` (`[1, \"1\"]`)",
        becomes: "is printed as two equal texts, and refused: the entries of a list differ",
    },
];
