//! Limits and devices of a service's containers: `ulimits`, `blkio_config`,
//! `devices`.

use super::record::{Cx, Emit, Form, Parse, member, record, shown};
use crate::compose::diag::Allowed;
use crate::compose::printed::Printed;
use crate::compose::tree::{Node, Value};
use crate::compose::units::Bytes;

/// A limit of `ulimits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ulimit {
    /// Both limits.
    Single(i64),
    /// Each by itself.
    Pair {
        /// What applies.
        soft: i64,
        /// How far it may be raised.
        hard: i64,
    },
}

impl Default for Ulimit {
    fn default() -> Self {
        Self::Pair { soft: 0, hard: 0 }
    }
}

impl Ulimit {
    /// Soft and hard limit; -1 means none.
    pub const fn limits(self) -> (i64, i64) {
        match self {
            Self::Single(limit) => (limit, limit),
            Self::Pair { soft, hard } => (soft, hard),
        }
    }
}

impl Parse for Ulimit {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.as_map().is_none() {
            return i64::parse(node, cx).map(Self::Single);
        }
        let part = |name: &str, cx: &mut Cx<'_>| match node.get(name) {
            Some(child) => cx.at(name, |cx| limit(child, cx)),
            None => Some(0),
        };
        let soft = part("soft", cx);
        let hard = part("hard", cx);
        Some(Self::Pair {
            soft: soft?,
            hard: hard?,
        })
    }
}

/// A limit of a pair: a whole number and nothing that only comes to one, where the
/// reference breaks off.
fn limit(node: &Node, cx: &mut Cx<'_>) -> Option<i64> {
    if matches!(node.value, Value::Int(_)) {
        return i64::parse(node, cx);
    }
    let mut diagnostic = cx
        .diagnostic(node.place(), shown(node, "is not a limit"))
        .expected("a whole number, such as `1024`");
    if node
        .as_str()
        .is_some_and(|text| text.parse::<i64>().is_ok())
    {
        diagnostic = diagnostic
            .suggest("take the quotes away")
            .allowed(Allowed::NumberInQuotes);
    }
    cx.report.push(diagnostic);
    None
}

impl Emit for Ulimit {
    fn value(&self, form: Form) -> Printed {
        if let Self::Single(limit) = *self
            && limit != 0
        {
            return Printed::from(limit);
        }
        let (soft, hard) = self.limits();
        let limits = [("soft", soft), ("hard", hard)];
        let written = limits
            .into_iter()
            .filter(|(_, limit)| *limit != 0 || form == Form::Yaml);
        written
            .map(|(name, limit)| (name.to_owned(), Printed::from(limit)))
            .collect()
    }
}

record! {
    /// Weights and limits of block devices.
    Blkio {
        /// Weight; 0 when absent.
        weight: u16,
        /// Weight by device.
        weight_device: Vec<WeightDevice>,
        /// Bytes read a second.
        device_read_bps: Vec<ThrottleDevice>,
        /// Reads a second.
        device_read_iops: Vec<ThrottleDevice>,
        /// Bytes written a second.
        device_write_bps: Vec<ThrottleDevice>,
        /// Writes a second.
        device_write_iops: Vec<ThrottleDevice>,
    }
}

/// A device's weight.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WeightDevice {
    /// The device.
    pub path: String,
    /// Its weight.
    pub weight: u16,
}

/// A device's limit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ThrottleDevice {
    /// The device.
    pub path: String,
    /// Bytes or operations a second.
    pub rate: Bytes,
}

impl Parse for WeightDevice {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        Some(Self {
            path: member(node, "path", cx)?,
            weight: member(node, "weight", cx)?,
        })
    }
}

/// A device and what is said of it, by its name in JSON and in YAML: the reference
/// writes these names in capitals in JSON.
fn of_device(form: Form, path: &str, names: (&str, &str), value: Printed) -> Printed {
    let (path_name, name) = match form {
        Form::Json => ("Path", names.0),
        Form::Yaml => ("path", names.1),
    };
    [(path_name, Printed::from(path)), (name, value)]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

impl Emit for WeightDevice {
    fn value(&self, form: Form) -> Printed {
        of_device(
            form,
            &self.path,
            ("Weight", "weight"),
            Printed::from(self.weight),
        )
    }
}

impl Parse for ThrottleDevice {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        Some(Self {
            path: member(node, "path", cx)?,
            rate: member(node, "rate", cx)?,
        })
    }
}

impl Emit for ThrottleDevice {
    fn value(&self, form: Form) -> Printed {
        let rate = self.rate.value(form);
        of_device(form, &self.path, ("Rate", "rate"), rate)
    }
}

record! {
    /// A device of the host.
    Device {
        /// Path on the host, or a CDI name.
        source: Option<String>,
        /// Path in the container.
        target: Option<String>,
        /// Any of `r`, `w`, `m`.
        permissions: Option<String>,
    }
}
