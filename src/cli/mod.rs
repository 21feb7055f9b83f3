//! The command line: parse flags, call, render; no logic.

pub mod args;
pub mod attach;
pub mod building;
pub mod commands;
pub mod context;
pub mod describe;
pub mod detach;
pub mod error;
pub mod folder;
pub mod interactive;
pub mod keys;
pub mod opener;
pub mod parse;
pub mod ports;
pub mod registries;
pub mod relay;
pub mod root;
pub mod runtime;
pub mod session;
pub mod settings;
pub mod signals;
pub mod sudo;
pub mod template;
pub mod terminal;
pub mod variables;
pub mod watching;
pub mod when;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Cli, Command};
use context::Context;
use error::{CliError, CliResult};
use settings::Settings;

use crate::compose::{Style, print_list};
use crate::env;
use crate::state::{Layout, close_roots};
use crate::supervise;
use crate::toolbox;
use crate::ui::Ui;

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // The long-lived processes and the toolbox's applets are this same binary;
    // they come first, before anything is set up that they must not inherit.
    if let Some(code) = supervise::dispatch(&arguments) {
        return code;
    }
    if let Some(code) = toolbox::dispatch(&arguments) {
        return code;
    }
    signals::expect_children();
    match Cli::try_parse_from(&arguments) {
        Ok(cli) => run(cli, arguments),
        Err(error) => {
            // Help and version are asked for; everything else is a mistake.
            error.print().ok();
            match error.kind() {
                ErrorKind::DisplayHelp
                | ErrorKind::DisplayVersion
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run(mut cli: Cli, arguments: Vec<OsString>) -> ExitCode {
    if let Some(progress) = cli.command.as_ref().and_then(Command::progress) {
        cli.global.progress = Some(progress.to_owned());
    }
    let is_for_tools = matches!(&cli.command, Some(Command::Config(args)) if args.is_for_tools());
    let settings = match Settings::new(&cli.global) {
        Ok(settings) => settings,
        Err(found) => {
            let is_data = is_for_tools || settings::are_messages_data(&cli.global);
            let style = (!is_data).then_some(&Style::PLAIN);
            let text = print_list(std::iter::once(&*found), style);
            return CliError::Rendered(text).report(Ui::default());
        }
    };
    let ui = if is_for_tools {
        settings.ui.for_tools()
    } else {
        settings.ui
    };
    let context = Context {
        ui,
        layout: Layout::from_env(),
        global: cli.global,
        settings,
        told_variables: AtomicBool::new(false),
    };
    context.show(&context.settings.remarks);
    if env::read(env::DOCKER_HOST).is_some() {
        ui.warn("`DOCKER_HOST` has no effect: skiff runs containers itself, on this machine");
    }
    let result = match cli.command {
        _ if cli.version => commands::version::run(&commands::version::VersionArgs::default()),
        None => {
            Cli::try_parse_from(["skiff", "--help"])
                .err()
                .map(|help| help.print().ok());
            return ExitCode::SUCCESS;
        }
        Some(command) => dispatch(&context, command, arguments),
    };
    context.tell_own_variables();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(ui),
    }
}

fn dispatch(context: &Context, command: Command, arguments: Vec<OsString>) -> CliResult {
    if context.global.dry_run && !command.can_be_dry() {
        return Err(CliError::new("--dry-run is for up and down"));
    }
    let needs_root = !matches!(
        command,
        Command::Config(_)
            | Command::Version(_)
            | Command::Doctor(_)
            | Command::Login(_)
            | Command::Logout(_)
    );
    if needs_root {
        root::require(arguments, || context.asked_variables())?;
        // A dry run makes nothing.
        if !context.global.dry_run {
            close_roots(&context.layout).map_err(|error| {
                CliError::new(format!(
                    "cannot close skiff's folders to other users: {error}"
                ))
            })?;
        }
    }
    match command {
        Command::Up(args) => commands::up::run(context, &args),
        Command::Create(args) => commands::create::run(context, &args),
        Command::Down(args) => commands::down::run(context, args),
        Command::Ps(args) => commands::ps::run(context, &args),
        Command::Logs(args) => commands::logs::run(context, &args),
        Command::Exec(args) => commands::exec::run(context, &args),
        Command::Run(args) => commands::run::run(context, &args),
        Command::Watch(args) => commands::watch::run(context, &args),
        Command::Build(args) => commands::build::run(context, &args),
        Command::Pull(args) => commands::pull::run(context, args),
        Command::Push(args) => commands::push::run(context, args),
        Command::Login(args) => commands::login::login(context, &args),
        Command::Logout(args) => commands::login::logout(context, &args),
        Command::Load(args) => commands::load::run(context, &args),
        Command::Save(args) => commands::image::save::run(context, &args),
        Command::Image(args) => commands::image::run(context, &args),
        Command::Images(args) => commands::images::run(context, &args),
        Command::Ls(args) => commands::ls::run(context, &args),
        Command::Stop(args) => commands::lifecycle::stop(context, args),
        Command::Start(args) => commands::lifecycle::start(context, &args),
        Command::Restart(args) => commands::lifecycle::restart(context, args),
        Command::Kill(args) => commands::lifecycle::kill(context, &args),
        Command::Config(args) => commands::config::run(context, &args),
        Command::Version(args) => commands::version::run(&args),
        Command::Doctor(args) => commands::doctor::run(context, &args),
    }
}
