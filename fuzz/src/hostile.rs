//! Loads what means harm and prints what it took: time and the most memory held
//! at once. `cargo run --release --bin hostile [NAME]`

#[path = "../../tests/hostile/mod.rs"]
mod hostile;

use std::time::Instant;

use hostile::Loads;
use skiff_fuzz::compose::{LoadOptions, Memory, Style, load};

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let all = [
        hostile::sizes,
        hostile::nesting,
        hostile::growth,
        hostile::chains,
        hostile::many_errors,
        hostile::spelling,
    ];
    for case in all.into_iter().flat_map(|cases| cases()) {
        if !case.name.contains(&wanted) {
            continue;
        }
        let files: Memory = case
            .files
            .into_iter()
            .map(|(name, bytes)| (format!("/p/{name}"), bytes))
            .collect();
        let options = LoadOptions {
            cwd: "/p".into(),
            ..LoadOptions::default()
        };
        let started = Instant::now();
        let mut text = String::new();
        let mut loaded = 0.0;
        let info = allocation_counter::measure(|| {
            let result = load(&options, &files);
            loaded = started.elapsed().as_secs_f64();
            match result {
                Ok(loaded) => {
                    let yaml = loaded.project.text(skiff_fuzz::compose::Form::Yaml);
                    text = format!("ok, {} bytes", yaml.len());
                }
                Err(errors) => text = errors.render(&Style::PLAIN),
            }
        });
        let fits = match case.loads {
            Loads::Yes => text.starts_with("ok,"),
            Loads::No(part) => !text.starts_with("ok,") && text.contains(part),
        };
        println!(
            "{} {:6.0} ms {:6.0} ms {:7.1} MB  {}: {}",
            if fits { "  " } else { "!!" },
            loaded * 1000.0,
            started.elapsed().as_secs_f64() * 1000.0,
            info.bytes_max as f64 / 1e6,
            case.name,
            text.lines().next().unwrap_or_default().chars().take(150).collect::<String>(),
        );
    }
}
