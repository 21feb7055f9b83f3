//! Names and labels, exactly as `docker compose` forms them, so that scripts
//! and tools that know those find their way.

use crate::compose::Project;
use crate::state::id::random_hex;

use super::super::desired::{Dependency, Gate};

/// The project's name.
pub const LABEL_PROJECT: &str = "com.docker.compose.project";
/// The service's name.
pub const LABEL_SERVICE: &str = "com.docker.compose.service";
/// Replica number, from 1; absent on one-offs.
pub const LABEL_NUMBER: &str = "com.docker.compose.container-number";
/// `True` on containers of `run`, else `False`.
pub const LABEL_ONEOFF: &str = "com.docker.compose.oneoff";
/// Hash of the service's canonical form.
pub const LABEL_CONFIG_HASH: &str = "com.docker.compose.config-hash";
/// `service:condition:restart`, comma-separated.
pub const LABEL_DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// Digest of the image's config.
pub const LABEL_IMAGE: &str = "com.docker.compose.image";
/// Version of the program that made it.
pub const LABEL_VERSION: &str = "com.docker.compose.version";
/// The project's folder.
pub const LABEL_WORKING_DIR: &str = "com.docker.compose.project.working_dir";
/// The Compose files, comma-separated.
pub const LABEL_CONFIG_FILES: &str = "com.docker.compose.project.config_files";
/// 64 random hexadecimal digits of a one-off, whose name has the first 12.
pub const LABEL_SLUG: &str = "com.docker.compose.slug";
/// On networks: the key in the file.
pub const LABEL_NETWORK: &str = "com.docker.compose.network";
/// On volumes: the key in the file.
pub const LABEL_VOLUME: &str = "com.docker.compose.volume";

/// What stands between the parts of a name that is made up here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Separator {
    /// `-`
    #[default]
    Dash,
    /// `_`, as Compose 1 had it: with `--compatibility`.
    Underscore,
}

impl Separator {
    /// The one of a project.
    pub fn of(project: &Project) -> Self {
        if project.compatibility {
            Self::Underscore
        } else {
            Self::Dash
        }
    }

    fn join(self, parts: &[&str]) -> String {
        parts.join(match self {
            Self::Dash => "-",
            Self::Underscore => "_",
        })
    }
}

/// `PROJECT-SERVICE-N`
pub fn container_name(separator: Separator, project: &str, service: &str, number: u32) -> String {
    separator.join(&[project, service, &number.to_string()])
}

/// A one-off's name and slug: `PROJECT-SERVICE-run-<12 hex>`.
pub fn oneoff_name(separator: Separator, project: &str, service: &str) -> (String, String) {
    let slug = random_hex(32);
    let short = slug.get(..12).unwrap_or(&slug);
    (separator.join(&[project, service, "run", short]), slug)
}

/// The image that a service without `image:` builds: `PROJECT-SERVICE`.
pub fn built_image(project: &Project, service: &str) -> String {
    Separator::of(project).join(&[&project.name, service])
}

/// The value of [`LABEL_DEPENDS_ON`].
pub fn format_depends_on(dependencies: &[Dependency]) -> String {
    let parts: Vec<String> = dependencies
        .iter()
        .map(|dep| format!("{}:{}:{}", dep.service, dep.gate.as_str(), dep.restart))
        .collect();
    parts.join(",")
}

/// Reads [`LABEL_DEPENDS_ON`]; parts that make no sense are left out, and what
/// older writers leave out has its default.
pub fn parse_depends_on(text: &str) -> Vec<Dependency> {
    text.split(',')
        .filter_map(|part| {
            let mut fields = part.split(':');
            let service = fields.next().filter(|name| !name.is_empty())?;
            Some(Dependency {
                service: service.to_owned(),
                gate: fields.next().and_then(Gate::parse).unwrap_or(Gate::Started),
                restart: fields.next() == Some("true"),
                required: true,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depends_on_label_survives_a_round_trip() {
        let text = "db:service_healthy:true,job:service_completed_successfully:false";
        let parsed = parse_depends_on(text);
        assert_eq!(parsed.len(), 2);
        assert!(parsed[0].restart && parsed[0].gate == Gate::Healthy);
        assert_eq!(format_depends_on(&parsed), text);
    }

    #[test]
    fn depends_on_label_of_older_writers_has_defaults() {
        let parsed = parse_depends_on("db,cache:service_started");
        assert_eq!(
            format_depends_on(&parsed),
            "db:service_started:false,cache:service_started:false"
        );
        assert_eq!(parse_depends_on(""), []);
    }

    #[test]
    fn oneoff_name_has_twelve_digits_of_its_slug() {
        let (name, slug) = oneoff_name(Separator::Dash, "shop", "web");
        assert_eq!(name, format!("shop-web-run-{}", &slug[..12]));
        assert_eq!(slug.len(), 64);
    }

    #[test]
    fn names_are_those_of_compose_1_where_asked() {
        let project = Project {
            name: "shop".to_owned(),
            compatibility: true,
            ..Project::default()
        };
        let separator = Separator::of(&project);
        assert_eq!(container_name(separator, "shop", "web", 2), "shop_web_2");
        let (name, _) = oneoff_name(separator, "shop", "web");
        assert!(name.starts_with("shop_web_run_"), "{name}");
        assert_eq!(built_image(&project, "web"), "shop_web");
    }
}
