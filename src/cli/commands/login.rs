//! `skiff login` and `skiff logout`, as Docker's.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use clap::Args;
use tokio::task::spawn_blocking;

use crate::causes::with_causes;
use crate::cli::context::Context;
use crate::cli::error::{CliError, CliResult};
use crate::cli::signals::Interrupts;
use crate::cli::terminal::Silence;
use crate::cli::{registries, runtime};
use crate::env;
use crate::image::{self, ImageError, Keeper, Server};
use crate::ui::{write_err, write_out};

/// Longest password that is read.
const PASSWORD_LIMIT: u64 = 1024 * 1024;

/// Flags of `skiff login`.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// Password or access token; other users of this machine can see it
    #[arg(short, long)]
    password: Option<String>,
    /// Read the password or access token from standard input
    #[arg(long)]
    password_stdin: bool,
    /// User name
    #[arg(short, long)]
    username: Option<String>,
    /// Registry, HOST or HOST:PORT (default: Docker Hub)
    #[arg(value_name = "SERVER")]
    server: Option<String>,
}

/// Flags of `skiff logout`.
#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// Registry, HOST or HOST:PORT (default: Docker Hub)
    #[arg(value_name = "SERVER")]
    server: Option<String>,
}

/// Tries credentials at a registry and keeps them.
///
/// # Errors
/// Flags that contradict each other, a registry that refuses or cannot be
/// reached, credentials that cannot be kept.
pub fn login(context: &Context, args: &LoginArgs) -> CliResult {
    tell_variable(context);
    let server = server(args.server.as_deref())?;
    let access = registries::access();
    if args.username.is_none() && args.password.is_none() && !args.password_stdin {
        let known = wait(image::login_again(&access, &server));
        match known {
            Ok(Some(user)) => {
                let who = Some(user).filter(|user| !user.is_empty());
                let who = who.map(|user| format!(" [Username: {user}]"));
                write_err(&format!(
                    "Authenticating with existing credentials...{}\n",
                    who.unwrap_or_default()
                ));
                return Ok(write_out("Login Succeeded\n")?);
            }
            Ok(None) => {}
            // They are of no use any more: others are asked for, where that
            // can be done.
            Err(CliError::Interrupted) => return Err(CliError::Interrupted),
            Err(error) if !io::stdin().is_terminal() => return Err(error),
            Err(_) => {
                context
                    .ui
                    .warn("the credentials that are kept are not accepted any more");
            }
        }
    }
    let (user, password) = given(context, args)?;
    let keeper = wait(image::login(&access, &server, &user, &password))?;
    if let Keeper::File(path) = keeper {
        context.ui.warn_with(
            &format!("the password is kept unencrypted in `{}`", path.display()),
            &["a credential helper keeps it better: install one, such as docker-credential-pass, and set `credsStore` there".to_owned()],
        );
    }
    Ok(write_out("Login Succeeded\n")?)
}

/// Takes away what is kept for a registry.
///
/// # Errors
/// The file or the helper cannot be changed.
pub fn logout(context: &Context, args: &LogoutArgs) -> CliResult {
    tell_variable(context);
    let server = server(args.server.as_deref())?;
    write_out(&format!(
        "Removing login credentials for {}\n",
        server.key()
    ))?;
    let access = registries::access();
    wait(image::logout(&access, &server))
}

/// What is kept or taken away may not be what counts.
fn tell_variable(context: &Context) {
    let name = env::DOCKER_AUTH_CONFIG;
    if env::read(name).is_some() {
        context.ui.warn(&format!(
            "`{name}` is set, and goes before what is kept; unset it to have the latter used"
        ));
    }
}

/// Waits for a registry or a helper, as long as the user does.
fn wait<T>(work: impl Future<Output = Result<T, ImageError>>) -> Result<T, CliError> {
    runtime::block_on(async {
        let mut interrupts = Interrupts::new()?;
        tokio::select! {
            result = work => result.map_err(failed),
            _ = interrupts.next() => Err(CliError::Interrupted),
        }
    })
}

fn server(text: Option<&str>) -> Result<Server, CliError> {
    Server::parse(text.unwrap_or_default()).map_err(failed)
}

/// User and password from flags, standard input or the terminal.
fn given(context: &Context, args: &LoginArgs) -> Result<(String, String), CliError> {
    if args.password_stdin {
        if args.password.is_some() {
            return Err(CliError::new(
                "--password and --password-stdin exclude each other",
            ));
        }
        let Some(user) = args.username.clone().filter(|user| !user.is_empty()) else {
            return Err(CliError::new("--password-stdin needs --username"));
        };
        let mut text = String::new();
        io::stdin().take(PASSWORD_LIMIT).read_to_string(&mut text)?;
        let end = text.trim_end_matches('\n').trim_end_matches('\r').len();
        text.truncate(end);
        return checked(user, text);
    }
    if args.password.is_some() {
        context
            .ui
            .warn("other users of this machine can see --password; --password-stdin hides it");
    }
    let user = match &args.username {
        Some(user) => user.clone(),
        None => ask("Username: ", false)?,
    };
    let user = user.trim().to_owned();
    if user.is_empty() {
        return Err(CliError::new("the user name is empty"));
    }
    let password = match &args.password {
        Some(password) => password.clone(),
        None => ask("Password: ", true)?,
    };
    checked(user, password)
}

fn checked(user: String, password: String) -> Result<(String, String), CliError> {
    if password.is_empty() {
        return Err(CliError::new("the password is empty"));
    }
    Ok((user, password))
}

/// Asks on the terminal; what is secret does not appear.
fn ask(question: &str, is_secret: bool) -> Result<String, CliError> {
    if !io::stdin().is_terminal() {
        return Err(
            CliError::new("there is no terminal to ask for user and password").hint(
                "give both: echo PASSWORD | skiff login --username USER --password-stdin SERVER",
            ),
        );
    }
    let line = runtime::block_on(async {
        // From here on a signal cannot leave the terminal silent.
        let mut interrupts = Interrupts::new()?;
        let silence = is_secret.then(|| Silence::begin(io::stdin())).transpose()?;
        write_out(question)?;
        let read = spawn_blocking(|| io::stdin().lock().lines().next());
        let line = tokio::select! {
            line = read => Ok(line.ok().flatten()),
            _ = interrupts.next() => Err(CliError::Interrupted),
        };
        if silence.is_some() {
            // The line break did not appear either.
            write_out("\n")?;
        }
        line
    })?;
    match line {
        Some(line) => Ok(line?),
        None => Err(CliError::Interrupted),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is a function for map_err"
)]
fn failed(error: ImageError) -> CliError {
    let failed = CliError::new(with_causes(&error));
    match error.hint() {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}
