//! Logging in and out: tried at the registry, kept in Docker's config.json or
//! by a helper, as the user who called sudo.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde_json::{Value, json};
use skiff::image::{
    Access, AccessOptions, Account, ImageError, Keeper, Server, login, login_again, logout,
};

use crate::support::registry::{HTPASSWD, Registry};
use crate::support::server::{Response, Server as Scripted};
use crate::support::world::{World, isolated};

const ADDRESS: &str = "127.0.0.1:5000";

/// A registry that lets `me` in with `secret` and nobody else.
fn private(world: &World) -> Registry {
    let path = world.path("htpasswd");
    fs::write(&path, HTPASSWD).unwrap();
    let top = format!(
        "auth:\n  htpasswd:\n    realm: here\n    path: {}\n",
        path.display()
    );
    Registry::start_with(world, ADDRESS, "storage", "", &top)
}

fn options(world: &World) -> AccessOptions {
    AccessOptions {
        docker_config: Some(world.path("docker")),
        ..AccessOptions::default()
    }
}

fn config(world: &World) -> Value {
    let text = fs::read(world.path("docker/config.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn write_config(world: &World, text: &Value) {
    fs::create_dir_all(world.path("docker")).unwrap();
    fs::write(world.path("docker/config.json"), text.to_string()).unwrap();
}

fn server() -> Server {
    Server::parse(ADDRESS).unwrap()
}

fn log_in(world: &World, options: AccessOptions, password: &str) -> Result<Keeper, ImageError> {
    world.run(login(&Access::new(options), &server(), "me", password))
}

/// A helper that keeps what it is given in a file and says who it runs as, put
/// into the search path of this namespace.
fn helper(world: &World) -> PathBuf {
    let kept = world.path("kept");
    fs::create_dir(&kept).unwrap();
    fs::set_permissions(&kept, PermissionsExt::from_mode(0o777)).unwrap();
    let script = format!(
        "#!/bin/sh\ncd {kept} || exit 9\nid -u >ids; id -G >>ids; echo \"$HOME $USER\" >>ids\n\
         case $1 in\nstore) cat >secret;;\n\
         get) cat >asked; [ -e secret ] || {{ echo credentials not found in native keychain; exit 1; }}; cat secret;;\n\
         erase) cat >erased; rm secret;;\nesac\n",
        kept = kept.display()
    );
    let bin = world.path("bin");
    fs::create_dir(&bin).unwrap();
    let path = bin.join("docker-credential-test");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    world.bind(&bin, Path::new("/usr/local/bin"));
    kept
}

#[test]
fn credentials_are_tried_kept_used_and_taken_away() {
    isolated(|world| {
        let _registry = private(world);
        let error = log_in(world, options(world), "wrong").unwrap_err();
        assert_eq!(
            error.to_string(),
            "registry `127.0.0.1:5000` refuses to log in `me`: authentication required"
        );
        assert!(!world.path("docker").exists(), "nothing is kept");
        write_config(
            world,
            &json!({"HttpHeaders": {"a": "b"}, "auths": {"x.io": {"auth": "YTpi"}}}),
        );
        let file = world.path("docker/config.json");
        fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
        let keeper = log_in(world, options(world), "secret").unwrap();
        assert_eq!(keeper, Keeper::File(file.clone()));
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(
            config(world),
            json!({"HttpHeaders": {"a": "b"}, "auths": {
                "x.io": {"auth": "YTpi"}, ADDRESS: {"auth": "bWU6c2VjcmV0"}}})
        );
        let access = Access::new(options(world));
        let user = world.run(login_again(&access, &server())).unwrap();
        assert_eq!(user.as_deref(), Some("me"));
        // They open the registry.
        let error = world
            .pull_with("127.0.0.1:5000/none", options(world))
            .unwrap_err();
        assert!(matches!(error, ImageError::NotFound { .. }), "{error}");
        for _ in 0..2 {
            world.run(logout(&access, &server())).unwrap();
            assert_eq!(config(world)["auths"], json!({"x.io": {"auth": "YTpi"}}));
        }
        assert_eq!(world.run(login_again(&access, &server())).unwrap(), None);
        let error = world
            .pull_with("127.0.0.1:5000/none", options(world))
            .unwrap_err();
        assert!(matches!(error, ImageError::Denied { .. }), "{error}");
    });
}

#[test]
fn a_helper_keeps_gives_and_forgets() {
    isolated(|world| {
        let _registry = private(world);
        let kept = helper(world);
        for setting in [
            json!({"credsStore": "test"}),
            json!({"credHelpers": {ADDRESS: "test"}}),
        ] {
            write_config(world, &setting);
            let keeper = log_in(world, options(world), "secret").unwrap();
            assert_eq!(keeper, Keeper::Helper("docker-credential-test".to_owned()));
            let secret: Value =
                serde_json::from_slice(&fs::read(kept.join("secret")).unwrap()).unwrap();
            assert_eq!(
                secret,
                json!({"ServerURL": ADDRESS, "Username": "me", "Secret": "secret"})
            );
            // The file has the name alone, as Docker's.
            assert_eq!(config(world)["auths"], json!({ADDRESS: {}}));
            let error = world
                .pull_with("127.0.0.1:5000/none", options(world))
                .unwrap_err();
            assert!(matches!(error, ImageError::NotFound { .. }), "{error}");
            world
                .run(logout(&Access::new(options(world)), &server()))
                .unwrap();
            assert!(!kept.join("secret").exists());
            assert_eq!(fs::read_to_string(kept.join("erased")).unwrap(), ADDRESS);
            assert_eq!(config(world)["auths"], json!({}));
        }
        write_config(world, &json!({"credsStore": "skiff-has-none"}));
        let error = log_in(world, options(world), "secret").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("in helper `docker-credential-skiff-has-none`: "),
            "{error}"
        );
        assert_eq!(config(world), json!({"credsStore": "skiff-has-none"}));
    });
}

#[test]
fn under_sudo_files_and_helpers_are_the_caller_s() {
    isolated(|world| {
        let _registry = private(world);
        let kept = helper(world);
        let home = world.path("home");
        fs::create_dir(&home).unwrap();
        // The test's own folder is root's alone.
        fs::set_permissions(world.path("."), PermissionsExt::from_mode(0o755)).unwrap();
        fs::set_permissions(&home, PermissionsExt::from_mode(0o700)).unwrap();
        chown(&home, Some(12_345), Some(12_346)).unwrap();
        let account = Account {
            name: "ada".to_owned(),
            uid: 12_345,
            gid: 12_346,
            home: Some(home.clone()),
        };
        let options = AccessOptions {
            docker_config: Some(home.join(".docker")),
            account: Some(account),
            ..AccessOptions::default()
        };
        log_in(world, options.clone(), "secret").unwrap();
        let file = home.join(".docker/config.json");
        for path in [home.join(".docker"), file.clone()] {
            let metadata = fs::metadata(&path).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (12_345, 12_346));
        }
        fs::write(&file, r#"{"credsStore": "test"}"#).unwrap();
        log_in(world, options.clone(), "secret").unwrap();
        let ids = fs::read_to_string(kept.join("ids")).unwrap();
        assert_eq!(ids, format!("12345\n12346\n{} ada\n", home.display()));
        // What they may not read is not read for them.
        chown(&file, Some(0), Some(0)).unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        let error = log_in(world, options.clone(), "secret").unwrap_err();
        assert!(error.to_string().contains("ermission denied"), "{error}");
        // Root's own folder, named by DOCKER_CONFIG, is used as root.
        fs::create_dir(world.path("docker")).unwrap();
        let options = AccessOptions {
            docker_config: Some(world.path("docker")),
            ..options
        };
        log_in(world, options, "secret").unwrap();
        assert_eq!(
            fs::metadata(world.path("docker/config.json"))
                .unwrap()
                .uid(),
            0
        );
    });
}

#[test]
fn a_token_is_kept_instead_of_a_password_where_the_server_gives_one() {
    isolated(|world| {
        let tokens = Scripted::start(ADDRESS, |request| {
            if request.target.starts_with("/token") {
                let is_login = request.target.contains("offline_token=true");
                let refreshed =
                    String::from_utf8_lossy(&request.body).contains("refresh_token=again");
                return match request.method.as_str() {
                    "GET" if is_login && request.header("authorization").is_some() => {
                        Response::new(200, br#"{"token":"t","refresh_token":"again"}"#)
                    }
                    "POST" if refreshed => Response::new(200, br#"{"access_token":"t"}"#),
                    _ => Response::new(401, br#"{"details":"incorrect username or password"}"#),
                };
            }
            if request.header("authorization") == Some("Bearer t") {
                return Response::new(200, b"{}");
            }
            let challenge = format!(r#"Bearer realm="http://{ADDRESS}/token",service="s""#);
            Response::new(401, b"").header("WWW-Authenticate", &challenge)
        });
        log_in(world, options(world), "secret").unwrap();
        let login = &tokens.requests()[2];
        assert_eq!(
            login.target,
            "/token?service=s&account=me&offline_token=true&client_id=skiff"
        );
        assert_eq!(
            config(world)["auths"],
            json!({ADDRESS: {"auth": "bWU6", "identitytoken": "again"}})
        );
        let again = world.run(login_again(&Access::new(options(world)), &server()));
        assert!(again.unwrap().is_some());
    });
}

#[test]
fn a_registry_that_is_not_there_is_told_without_an_image() {
    isolated(|world| {
        let error = log_in(world, options(world), "x").unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot reach registry `127.0.0.1:5000`: connection refused"
        );
        assert!(!error.hint().unwrap().contains("skiff load"));
    });
}
