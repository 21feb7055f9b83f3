//! A project as its files are written, merged: what `config --no-interpolate`
//! and `--variables` show.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::diag::{Diagnostic, SetPart, Sources};
use super::model::Form;
use super::order::natural;
use super::printed::{Printed, may_be_endless};
use super::tree::{Node, Value};
use super::{emit, template};

/// Merged files, with their variables still in them.
#[derive(Debug, Clone)]
pub struct RawModel {
    pub(super) tree: Node,
    /// What variables would be resolved with.
    pub environment: IndexMap<String, String>,
    /// Warnings, in the order in which they were found.
    pub warnings: Vec<Diagnostic>,
    pub(super) sources: Sources,
}

/// A variable that files use, as one of its uses has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What stands for it where it is not set: `${NAME:-default}`.
    pub default: String,
    /// What stands for it where it is set: `${NAME:+alternate}`.
    pub alternate: String,
    /// It has to be set: `${NAME:?}`.
    pub required: bool,
}

impl Variable {
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// True where this use says nothing but the name.
    fn is_plain(&self) -> bool {
        self.default.is_empty() && self.alternate.is_empty() && !self.required
    }
}

impl RawModel {
    /// The model as `config --no-interpolate` prints it.
    pub fn text(&self, form: Form) -> String {
        match form {
            Form::Yaml => emit::tree_yaml(&self.tree),
            Form::Json => emit::tree_json(&self.tree),
        }
    }

    /// What is said of the first value that JSON does not have, which the reference
    /// does not print as JSON, either.
    pub fn without_json(&self) -> Option<Diagnostic> {
        let tree = Some(&self.tree).filter(|tree| may_be_endless(tree))?;
        let (path, value) = Printed::of(tree).endless()?;
        Some(Diagnostic::error(emit::no_json(value)).path(path))
    }

    /// What is wrong with a variable, with the line of the file that sets it, or that the
    /// environment does.
    pub fn of_variable(&self, name: &str, part: SetPart, diagnostic: Diagnostic) -> Diagnostic {
        let environment = &self.environment;
        self.sources
            .of_variable(diagnostic, (name, part), environment)
    }

    /// The services' names, all of them.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        let services = self.tree.get("services").and_then(Node::as_map);
        services
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
    }

    /// The variables that values use. Of several uses the last one counts that
    /// says more than the name.
    pub fn variables(&self) -> BTreeMap<String, Variable> {
        let mut variables = BTreeMap::new();
        collect(&self.tree, &mut variables);
        variables
    }

    /// [`Self::variables`] as `config --variables --format` prints them.
    pub fn variables_text(&self, form: Form) -> String {
        let mut variables: Vec<Variable> = self.variables().into_values().collect();
        if form == Form::Yaml {
            variables.sort_by(|one, other| natural(&one.name, &other.name));
        }
        let keys = match form {
            Form::Json => ["Name", "DefaultValue", "PresenceValue", "Required"],
            Form::Yaml => ["name", "defaultvalue", "presencevalue", "required"],
        };
        let values = variables.into_iter().map(|variable| {
            let values = [
                Printed::String(variable.name.clone()),
                Printed::String(variable.default),
                Printed::String(variable.alternate),
                Printed::Bool(variable.required),
            ];
            let members = keys.into_iter().map(str::to_owned).zip(values);
            (variable.name, members.collect::<Printed>())
        });
        let all: Printed = values.collect();
        match form {
            Form::Json => emit::wide_json(&all),
            Form::Yaml => emit::wide_yaml(&all),
        }
    }

    /// Replaces each service's image by what `pin` makes of it, such as the same
    /// with its digest; a service without an image is left alone.
    ///
    /// # Errors
    /// The first of `pin`.
    pub fn pin_images<E>(
        &mut self,
        mut pin: impl FnMut(&str) -> Result<String, E>,
    ) -> Result<(), E> {
        for service in self.services_mut() {
            if let Some(Value::Str(image)) = service.get_mut("image").map(|node| &mut node.value) {
                *image = pin(image)?;
            }
        }
        Ok(())
    }

    /// Drops everything but the services' images.
    pub fn keep_images_only(&mut self) {
        if let Some(map) = self.tree.as_map_mut() {
            map.retain(|key, _| key == "services");
        }
        for service in self.services_mut() {
            if let Some(map) = service.as_map_mut() {
                map.retain(|key, _| key == "image");
            }
        }
    }

    fn services_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        let services = self.tree.get_mut("services").and_then(Node::as_map_mut);
        services.into_iter().flatten().map(|(_, service)| service)
    }
}

fn collect(node: &Node, variables: &mut BTreeMap<String, Variable>) {
    match &node.value {
        Value::Str(text) => {
            // Of those within one text the last one counts, whatever it says.
            let within: BTreeMap<String, Variable> = template::variables(text)
                .into_iter()
                .map(|variable| (variable.name.clone(), variable))
                .collect();
            for (name, variable) in within {
                if !variable.is_plain() || !variables.contains_key(&name) {
                    variables.insert(name, variable);
                }
            }
        }
        Value::Seq(items) => items.iter().for_each(|item| collect(item, variables)),
        Value::Map(map) => map.values().for_each(|child| collect(child, variables)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) => {}
    }
}
