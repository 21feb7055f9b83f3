//! One JSON object for each change, for tools.

use serde_json::json;

use crate::event::{Event, EventSink, Resource};
use crate::ui::Stream;

/// Prints `{"id":"Container shop-web-1","status":"Started"}`, as `docker
/// compose --progress json` does.
#[derive(Debug)]
pub(super) struct Json(pub(super) Stream);

impl EventSink for Json {
    fn emit(&self, event: Event) {
        let value = match event {
            Event::Started { resource, action } => json!({"id": id(&resource), "status": action}),
            Event::Done { resource, outcome } => json!({"id": id(&resource), "status": outcome}),
            Event::Failed { resource, message } => {
                json!({"id": id(&resource), "status": "Error", "error": true, "details": message})
            }
            Event::Progress {
                resource,
                action,
                current,
                total,
            } => {
                json!({"id": id(&resource), "status": action, "current": current, "total": total})
            }
            Event::Note { message } => json!({"level": "info", "message": message}),
            Event::Warning { message } => json!({"level": "warning", "message": message}),
        };
        self.0.write(&format!("{value}\n"));
    }
}

fn id(resource: &Resource) -> String {
    format!("{} {}", resource.kind, resource.name)
}
