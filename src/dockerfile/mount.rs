//! `RUN --mount`: its fields, and what they mean together.
//!
//! "RUN --mount" of the Dockerfile reference. Values may have variables, so a
//! mount is read twice: without values when the file is, with them for a build.

use super::span::{Problem, Span};

/// `--mount` as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountFlag {
    /// Its fields: name in small letters, and value.
    pub fields: Vec<(String, Option<String>)>,
    /// The flag.
    pub at: Span,
}

/// What is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MountType {
    /// Files of a stage, an image or a context.
    #[default]
    Bind,
    /// A folder that lasts.
    Cache,
    /// Memory.
    Tmpfs,
    /// A secret.
    Secret,
    /// The socket of an agent.
    Ssh,
}

impl MountType {
    const ALL: [(&'static str, Self); 5] = [
        ("bind", Self::Bind),
        ("cache", Self::Cache),
        ("tmpfs", Self::Tmpfs),
        ("secret", Self::Secret),
        ("ssh", Self::Ssh),
    ];

    fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, kind)| *kind == self);
        found.map_or("", |(name, _)| name)
    }
}

/// Who may use a cache at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Everybody.
    Shared,
    /// Each its own.
    Private,
    /// One after the other.
    Locked,
}

/// A mount whose fields go together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MountSpec {
    /// `type`.
    pub kind: MountType,
    /// `from`.
    pub from: Option<String>,
    /// `source`, `src`.
    pub source: String,
    /// `target`, `dst`, `destination`.
    pub target: String,
    /// `readonly`, `ro`, `readwrite`, `rw`.
    pub is_read_only: bool,
    /// `size`, in bytes; 0 is no limit.
    pub size: u64,
    /// `id`.
    pub id: String,
    /// `sharing`.
    pub sharing: Option<Sharing>,
    /// `required`.
    pub is_required: bool,
    /// `env`.
    pub variable: Option<String>,
    /// `mode`.
    pub mode: Option<u32>,
    /// `uid`.
    pub uid: Option<u32>,
    /// `gid`.
    pub gid: Option<u32>,
}

/// The names of all fields.
const FIELDS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

impl MountSpec {
    /// Which secret it is: its id, else the name of its file.
    pub fn secret_id(&self) -> String {
        [&self.source, &self.id]
            .into_iter()
            .find(|text| !text.is_empty())
            .cloned()
            .unwrap_or_else(|| {
                let target = self.target.trim_end_matches('/');
                target.rsplit('/').next().unwrap_or_default().to_owned()
            })
    }

    /// Which agent signs.
    pub fn agent_id(&self) -> String {
        if self.id.is_empty() {
            "default".to_owned()
        } else {
            self.id.clone()
        }
    }
}

impl MountFlag {
    /// Takes the text of a flag apart.
    ///
    /// # Errors
    /// A quote that nobody closes, an unknown name, a stage that is a variable.
    pub(super) fn read(text: &str, at: Span) -> Result<Self, Problem> {
        let fields = comma_separated(text)
            .ok_or_else(|| Problem::new(at, "a double quote in `--mount` is not closed"))?
            .into_iter()
            .map(|field| match field.split_once('=') {
                Some((name, value)) => (name.to_lowercase(), Some(value.to_owned())),
                None => (field.to_lowercase(), None),
            })
            .collect();
        let flag = Self { fields, at };
        for (name, value) in &flag.fields {
            if !FIELDS.contains(&name.as_str()) {
                let problem = Problem::new(at, format!("`{name}` is no option of a mount"));
                return Err(problem.did_you_mean(name, &FIELDS));
            }
            let is_variable = |value: &String| value.trim_end_matches('$').contains('$');
            if name == "from" && value.as_ref().is_some_and(is_variable) {
                return Err(Problem::new(at, "`from` of a mount cannot have variables")
                    .help("name a stage: `FROM $IMAGE AS name`, then `from=name`"));
            }
        }
        // Without variables nothing can change any more.
        let is_plain = |value: &Option<String>| {
            !value
                .iter()
                .any(|value| value.contains(['$', '\\', '`', '\'', '"']))
        };
        if flag.fields.iter().all(|(_, value)| is_plain(value)) {
            flag.resolve(&mut |value| Ok(value.to_owned()))?;
        }
        Ok(flag)
    }

    /// `from`, which has no variables.
    pub fn from(&self) -> Option<&str> {
        let mut fields = self.fields.iter().rev();
        let (_, value) = fields.find(|(name, _)| name == "from")?;
        value.as_deref().filter(|value| !value.is_empty())
    }

    /// The mount, its values expanded.
    ///
    /// # Errors
    /// A value that is none of its kind, fields that do not go together, what
    /// `expand` refuses.
    pub fn resolve(
        &self,
        expand: &mut dyn FnMut(&str) -> Result<String, String>,
    ) -> Result<MountSpec, Problem> {
        let mut mount = MountSpec::default();
        let mut is_read_only = None;
        let fail = |message: String| Err(Problem::new(self.at, message));
        for (name, value) in &self.fields {
            let name = name.as_str();
            let value = match value {
                Some(value) => expand(value).map_err(|message| Problem::new(self.at, message))?,
                None => match name {
                    "readonly" | "ro" | "readwrite" | "rw" | "required" => "true".to_owned(),
                    _ => return fail(format!("`{name}` of a mount has no value")),
                },
            };
            let wrong = |what: &str| {
                let message = format!("`{value}` cannot be the `{name}` of a mount");
                Problem::new(self.at, message).expected(what.to_owned())
            };
            let only = |kinds: &[MountType]| {
                if kinds.contains(&mount.kind) {
                    return Ok(());
                }
                let kind = mount.kind.name();
                Err(
                    Problem::new(self.at, format!("a mount of type `{kind}` has no `{name}`"))
                        .help("`type` has to stand before it".to_owned()),
                )
            };
            let number = |radix| u32::from_str_radix(&value, radix);
            match name {
                "type" => {
                    let wanted = value.to_lowercase();
                    let found = MountType::ALL.iter().find(|(name, _)| *name == wanted);
                    let names = MountType::ALL.map(|(name, _)| name);
                    mount.kind = found
                        .map(|(_, kind)| *kind)
                        .ok_or_else(|| wrong(&names.join(", ")).did_you_mean(&value, &names))?;
                }
                "from" => mount.from = Some(value).filter(|value| !value.is_empty()),
                "source" | "src" => mount.source = value,
                "target" | "dst" | "destination" => mount.target = value,
                "readonly" | "ro" => {
                    is_read_only = Some(truth(&value).ok_or_else(|| wrong("true or false"))?);
                }
                "readwrite" | "rw" => {
                    is_read_only = Some(!truth(&value).ok_or_else(|| wrong("true or false"))?);
                }
                "required" => {
                    only(&[MountType::Secret, MountType::Ssh])?;
                    mount.is_required = truth(&value).ok_or_else(|| wrong("true or false"))?;
                }
                "size" => {
                    only(&[MountType::Tmpfs])?;
                    mount.size = bytes(&value).ok_or_else(|| wrong("a size: `64m`"))?;
                }
                "id" => mount.id = value,
                "sharing" => {
                    let sharing = match value.to_lowercase().as_str() {
                        "shared" => Sharing::Shared,
                        "private" => Sharing::Private,
                        "locked" => Sharing::Locked,
                        _ => return Err(wrong("shared, private or locked")),
                    };
                    mount.sharing = Some(sharing);
                }
                "mode" => mount.mode = Some(number(8).map_err(|_| wrong("an octal number"))?),
                "uid" => mount.uid = Some(number(10).map_err(|_| wrong("a number"))?),
                "gid" => mount.gid = Some(number(10).map_err(|_| wrong("a number"))?),
                _ => mount.variable = Some(value),
            }
        }
        let is_scratch = matches!(mount.kind, MountType::Cache | MountType::Tmpfs);
        mount.is_read_only = is_read_only.unwrap_or(!is_scratch);
        match contradiction(&mount) {
            Some(message) => fail(message),
            None => Ok(mount),
        }
    }
}

/// What does not go together.
fn contradiction(mount: &MountSpec) -> Option<String> {
    let kind = mount.kind.name();
    if matches!(mount.kind, MountType::Bind | MountType::Tmpfs) {
        let given = [("mode", mount.mode), ("uid", mount.uid), ("gid", mount.gid)];
        if let Some((name, _)) = given.iter().find(|(_, value)| value.is_some()) {
            return Some(format!("a mount of type `{kind}` has no `{name}`"));
        }
    }
    if mount.sharing.is_some() && mount.kind != MountType::Cache {
        return Some(format!("a mount of type `{kind}` has no `sharing`"));
    }
    match mount.kind {
        MountType::Secret if mount.from.is_some() => {
            Some("a mount of type `secret` has no `from`".to_owned())
        }
        MountType::Secret if !mount.source.is_empty() && !mount.id.is_empty() => {
            Some("a secret has `id` or `source`, not both".to_owned())
        }
        MountType::Secret
            if mount.source.is_empty() && mount.id.is_empty() && mount.target.is_empty() =>
        {
            Some("a secret needs its `id`".to_owned())
        }
        MountType::Ssh if !mount.source.is_empty() => {
            Some("a mount of type `ssh` has no `source`".to_owned())
        }
        _ => None,
    }
}

/// Fields of one line of CSV (RFC 4180); `None` where a quote is not closed.
pub(super) fn comma_separated(text: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut field = String::new();
            let mut letters = quoted.char_indices().peekable();
            let end = loop {
                match letters.next()? {
                    (_, '"') if letters.next_if(|(_, c)| *c == '"').is_some() => field.push('"'),
                    (at, '"') => break at + 1,
                    (_, c) => field.push(c),
                }
            };
            fields.push(field);
            match quoted.get(end..)?.strip_prefix(',') {
                Some(behind) => rest = behind,
                None => return quoted.get(end..)?.is_empty().then_some(fields),
            }
        } else if let Some((field, behind)) = rest.split_once(',') {
            fields.push(field.to_owned());
            rest = behind;
        } else {
            fields.push(rest.to_owned());
            return Some(fields);
        }
    }
}

/// A truth value as Go's `strconv.ParseBool` has it.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// A size with a binary unit: `64m`, `1.5 GiB`.
fn bytes(text: &str) -> Option<u64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let number: f64 = number.parse().ok()?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_lowercase();
    let shift = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ => return None,
    };
    let unit = f64::from(1_u32 << (shift / 2)) * f64::from(1_u32 << (shift - shift / 2));
    let bytes = number * unit;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size that is not negative and in range"
    )]
    (bytes < 9e18).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> Result<MountSpec, Problem> {
        MountFlag::read(text, Span::default())?.resolve(&mut |value| Ok(value.replace("$X", "x")))
    }

    #[test]
    fn fields_have_their_meaning() {
        let mount = resolved("type=bind,from=a,src=/s,dst=/d").unwrap();
        assert_eq!(
            (mount.kind, mount.from.as_deref()),
            (MountType::Bind, Some("a"))
        );
        assert_eq!((mount.source.as_str(), mount.target.as_str()), ("/s", "/d"));
        assert!(mount.is_read_only);
        let mount =
            resolved("type=cache,target=/c/$X,id=i,sharing=locked,uid=1,gid=2,mode=0700,ro")
                .unwrap();
        assert_eq!((mount.target.as_str(), mount.id.as_str()), ("/c/x", "i"));
        assert_eq!(
            (mount.uid, mount.gid, mount.mode),
            (Some(1), Some(2), Some(0o700))
        );
        assert_eq!(
            (mount.sharing, mount.is_read_only),
            (Some(Sharing::Locked), true)
        );
        let mount = resolved("type=tmpfs,target=/t,size=1.5m").unwrap();
        assert_eq!((mount.size, mount.is_read_only), (1_572_864, false));
        let mount = resolved("type=secret,id=s,env=TOKEN,required").unwrap();
        assert_eq!(
            (mount.variable.as_deref(), mount.is_required),
            (Some("TOKEN"), true)
        );
        assert!(!resolved("target=/x,rw=true").unwrap().is_read_only);
        assert_eq!(resolved("\"target=/a,b\",from=x").unwrap().target, "/a,b");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("typ=bind", "`typ` is no option"),
            ("type=binds", "`binds` cannot be the `type` of a mount"),
            ("from=$X,target=/x", "cannot have variables"),
            ("type=bind,target", "`target` of a mount has no value"),
            ("type=bind,mode=1", "a mount of type `bind` has no `mode`"),
            ("type=bind,sharing=shared", "has no `sharing`"),
            ("type=cache,sharing=x", "`x` cannot be"),
            (
                "type=cache,required",
                "a mount of type `cache` has no `required`",
            ),
            ("size=1,type=tmpfs", "a mount of type `bind` has no `size`"),
            ("type=tmpfs,size=x", "`x` cannot be"),
            ("type=cache,uid=a", "`a` cannot be"),
            ("type=secret", "a secret needs its `id`"),
            ("type=secret,id=a,src=b", "not both"),
            ("type=secret,id=a,from=b", "has no `from`"),
            ("type=ssh,src=a", "has no `source`"),
            ("type=bind,ro=maybe", "`maybe` cannot be the `ro`"),
            ("\"type=bind", "not closed"),
        ] {
            let problem = resolved(text).unwrap_err();
            assert!(
                problem.message.contains(part),
                "{text}: {}",
                problem.message
            );
        }
    }

    #[test]
    fn variables_are_looked_at_later() {
        let flag = MountFlag::read("type=$KIND,sharing=$X,target=/x", Span::default()).unwrap();
        assert!(flag.resolve(&mut |value| Ok(value.to_owned())).is_err());
        let cache =
            flag.resolve(&mut |value| Ok(value.replace("$KIND", "cache").replace("$X", "private")));
        assert_eq!(cache.unwrap().sharing, Some(Sharing::Private));
    }
}
