//! One JSON object for each change, for tools.

use serde_json::json;

use super::made_room;
use crate::event::{BuildNews, Event, EventSink, Resource, WatchNews};
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
            Event::Build { step, news } => build(step, news),
            Event::MadeRoom {
                steps,
                folders,
                images,
                bytes,
                budget,
            } => {
                json!({"level": "info", "message": made_room([steps, folders, images], bytes, budget)})
            }
            Event::Watch(news) => watch(news),
            Event::Note { message } => json!({"level": "info", "message": message}),
            Event::Warning { message } => json!({"level": "warning", "message": message}),
        };
        self.0.write(&format!("{value}\n"));
    }
}

/// Milliseconds have a fraction.
fn watch(news: WatchNews) -> serde_json::Value {
    let mut event = serde_json::Map::new();
    let mut put = |key: &str, value: serde_json::Value| {
        event.insert(key.to_owned(), value);
    };
    put("watch", news.action.into());
    put("services", news.services.into());
    put("message", news.message.into());
    if let Some((written, removed)) = news.files {
        put("written", written.into());
        put("removed", removed.into());
    }
    if let Some(elapsed) = news.elapsed {
        // To the microsecond: more digits are the arithmetic's.
        put("ms", ((elapsed.as_secs_f64() * 1e6).round() / 1e3).into());
    }
    if news.failed {
        put("error", true.into());
    }
    event.into()
}

/// A step has the id `#5`, by which its lines belong together.
fn build(step: u32, news: BuildNews) -> serde_json::Value {
    let id = format!("#{step}");
    let seconds = |elapsed: std::time::Duration| elapsed.as_secs_f64();
    match news {
        BuildNews::Named { name } => json!({"id": id, "status": "Building", "text": name}),
        BuildNews::Status { line } => json!({"id": id, "status": line}),
        BuildNews::Output { line, elapsed } => {
            json!({"id": id, "output": line, "elapsed": seconds(elapsed)})
        }
        BuildNews::Done { elapsed } => {
            json!({"id": id, "status": "Done", "elapsed": seconds(elapsed)})
        }
        BuildNews::Cached => json!({"id": id, "status": "Cached"}),
        BuildNews::Failed { message } => {
            json!({"id": id, "status": "Error", "error": true, "details": message})
        }
        BuildNews::Canceled => json!({"id": id, "status": "Canceled"}),
    }
}

fn id(resource: &Resource) -> String {
    format!("{} {}", resource.kind, resource.name)
}
