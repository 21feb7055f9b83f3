//! What is asked of systemd: org.freedesktop.systemd1(5), "The Manager Object".

use std::path::Path;
use std::time::Duration;

use super::connection::Connection;
use super::error::SystemdError;
use super::message::{Call, Incoming, Kind};
use super::unit::SLICE;
use super::value::{Value, Writer};

const SERVICE: &str = "org.freedesktop.systemd1";
const OBJECT: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// What systemd sends to every process of a scope that is to stop: SIGURG, the
/// one signal that nobody sends by hand and that no program dies of. The
/// supervisor takes it for the order to stop its containers, each with its own
/// signal and its own grace; the containers themselves take no notice. SIGTERM
/// would reach all of them at once, be the wrong signal for some, and be
/// ignored by a process 1 that has no handler for it.
pub const STOP_SIGNAL: i32 = libc::SIGURG;

/// How long the containers of a stopped scope have before they are killed: as
/// long as systemd's own default for every unit.
const STOP_MICROSECONDS: u64 = 90_000_000;

/// A scope stops before these do.
const STOPS_BEFORE: &[&str] = &["local-fs.target", "remote-fs.target", "network.target"];

/// A scope to be there.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Its unit's name.
    pub name: &'a str,
    /// One line about it.
    pub description: &'a str,
    /// The processes to be in it.
    pub processes: &'a [u32],
    /// The group below it for processes that come to a scope that is there.
    pub leaf: &'a str,
    /// The slice is there already. Where that turns out otherwise it costs one
    /// more call.
    pub has_slice: bool,
}

/// Has systemd put these processes into the scope, which is started where it
/// does not run, and returns when they are there.
///
/// In a new scope the processes are in its own control group, in an old one in
/// the leaf.
///
/// # Errors
/// systemd refuses, or the deadline has come.
pub fn start_scope(connection: &mut Connection, scope: Scope<'_>) -> Result<(), SystemdError> {
    // A slice that is made along goes with the last scope in it. Where one is
    // there (another project's, the administrator's) it can only be used.
    if !scope.has_slice {
        match start(connection, scope, true) {
            Err(error) if error.is_unit_exists() => {}
            other => return other,
        }
    }
    match start(connection, scope, false) {
        Err(error) if error.is_unit_exists() => attach(connection, scope),
        other => other,
    }
}

/// `StartTransientUnit(in s name, in s mode, in a(sv) properties,
/// in a(sa(sv)) aux, out o job)`, then `JobRemoved` of that job. Mode `replace`:
/// a slice that is about to stop for want of units stays.
fn start(
    connection: &mut Connection,
    scope: Scope<'_>,
    with_slice: bool,
) -> Result<(), SystemdError> {
    let mut body = Writer::default();
    body.text(scope.name);
    body.text("replace");
    body.properties(&scope_properties(scope));
    body.array(8, |units| {
        if with_slice {
            units.align(8);
            units.text(SLICE);
            units.properties(&SLICE_PROPERTIES);
        }
    });
    let call = manager("StartTransientUnit", "ssa(sv)a(sa(sv))", body);
    let mut ended = Vec::new();
    let answer = connection.call(&call, |signal| ended.extend(ended_job(&signal)))?;
    let job = answer.arguments().text()?;
    loop {
        if let Some((_, result)) = ended.iter().find(|(one, _)| one == job) {
            return match result.as_str() {
                "done" => Ok(()),
                _ => Err(SystemdError::Job {
                    unit: scope.name.to_owned(),
                    result: result.clone(),
                }),
            };
        }
        ended.extend(ended_job(&connection.receive()?));
    }
}

/// `AttachProcessesToUnit(in s unit, in s subcgroup, in au pids)`, systemd 238.
/// It is refused where the unit has stopped meanwhile, which a write to the
/// control group would not be.
fn attach(connection: &mut Connection, scope: Scope<'_>) -> Result<(), SystemdError> {
    let mut body = Writer::default();
    body.text(scope.name);
    body.text(&format!("/{}", scope.leaf));
    body.array(4, |array| {
        for process in scope.processes {
            array.u32(*process);
        }
    });
    let call = manager("AttachProcessesToUnit", "ssau", body);
    connection.call(&call, drop).map(drop)
}

/// systemd's version, as it says it (`252.39-1~deb12u1`).
///
/// # Errors
/// Nobody answers in time.
pub fn version(run: &Path, limit: Duration) -> Result<String, SystemdError> {
    let mut connection = Connection::open(run, limit)?;
    let mut body = Writer::default();
    body.text(MANAGER);
    body.text("Version");
    let call = Call {
        interface: "org.freedesktop.DBus.Properties",
        ..manager("Get", "ss", body)
    };
    let answer = connection.call(&call, drop)?;
    let mut arguments = answer.arguments();
    if arguments.signature()? != "s" {
        return Err(SystemdError::Protocol("a version that is no text"));
    }
    Ok(arguments.text()?.to_owned())
}

fn manager<'a>(member: &'a str, signature: &'a str, body: Writer) -> Call<'a> {
    Call {
        destination: SERVICE,
        path: OBJECT,
        interface: MANAGER,
        member,
        signature,
        body: body.finish(),
    }
}

/// `JobRemoved(u id, o job, s unit, s result)`: the job and its result.
fn ended_job(signal: &Incoming) -> Option<(String, String)> {
    let is_it = signal.kind == Kind::Signal
        && signal.interface == MANAGER
        && signal.member == "JobRemoved"
        && signal.signature == "uoss";
    if !is_it {
        return None;
    }
    let mut arguments = signal.arguments();
    arguments.u32().ok()?;
    let job = arguments.text().ok()?.to_owned();
    arguments.text().ok()?;
    Some((job, arguments.text().ok()?.to_owned()))
}

/// See systemd.scope(5), systemd.kill(5), systemd.resource-control(5).
fn scope_properties(scope: Scope<'_>) -> Vec<(&'static str, Value<'_>)> {
    vec![
        ("Description", Value::Text(scope.description)),
        ("Slice", Value::Text(SLICE)),
        ("PIDs", Value::U32s(scope.processes)),
        ("Delegate", Value::Bool(true)),
        // A scope that was killed at its end leaves no failed unit behind.
        ("CollectMode", Value::Text("inactive-or-failed")),
        // systemd's default, a share of what the machine can have, is for one
        // program; containers have limits of their own.
        ("TasksMax", Value::U64(u64::MAX)),
        ("KillMode", Value::Text("control-group")),
        ("KillSignal", Value::I32(STOP_SIGNAL)),
        ("TimeoutStopUSec", Value::U64(STOP_MICROSECONDS)),
        ("After", Value::Texts(STOPS_BEFORE)),
    ]
}

/// The slice goes when no unit needs it any longer.
const SLICE_PROPERTIES: [(&str, Value<'static>); 2] = [
    ("Description", Value::Text("skiff's projects")),
    ("StopWhenUnneeded", Value::Bool(true)),
];
