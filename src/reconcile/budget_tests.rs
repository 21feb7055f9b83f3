use super::*;

fn layer(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

fn at(hour: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(hour * 3600)
}

fn step(key: &str, below: &[&str], used: u64) -> Kept {
    Kept {
        key: key.to_owned(),
        name: key.to_owned(),
        layer: Some(layer(key)),
        bytes: 10,
        below: below.iter().map(|name| layer(name)).collect(),
        used: at(used),
    }
}

fn image(name: &str, is_named: bool, layers: &[&str], used: u64) -> Image {
    Image {
        id: layer(&format!("image {name}")),
        is_named,
        layers: layers.iter().map(|name| layer(name)).collect(),
        used: at(used),
    }
}

/// Every layer has ten bytes.
fn stock(steps: Vec<Kept>, images: Vec<Image>) -> Stock {
    let of_images = images.iter().flat_map(|image| image.layers.clone());
    let of_steps = steps
        .iter()
        .flat_map(|step| step.layer.iter().chain(&step.below).cloned());
    Stock {
        sizes: of_images.chain(of_steps).map(|layer| (layer, 10)).collect(),
        steps,
        images,
        ..Stock::default()
    }
}

fn names(stock: &Stock, budget: u64, takes_named: bool) -> (Vec<String>, Vec<usize>) {
    let may_go = MayGo::ForRoom { named: takes_named };
    let chosen = choose(stock, budget, may_go, at(1000));
    let images = stock.images.iter().enumerate();
    let images = images.filter(|(_, image)| chosen.images.contains(&image.id));
    (
        chosen.steps.into_iter().collect(),
        images.map(|(number, _)| number).collect(),
    )
}

#[test]
fn the_longest_unused_steps_go_first_and_no_more_than_needed() {
    let stock = stock(
        vec![
            step("new", &[], 9),
            step("old", &[], 1),
            step("mid", &[], 5),
        ],
        Vec::new(),
    );
    assert_eq!(names(&stock, 30, true).0, Vec::<String>::new());
    assert_eq!(names(&stock, 29, true).0, ["old"]);
    assert_eq!(names(&stock, 15, true).0, ["mid", "old"]);
    assert_eq!(names(&stock, 0, true).0, ["mid", "new", "old"]);
}

#[test]
fn folders_of_builds_go_among_the_steps_unless_they_were_used_today() {
    let folder = |name: &str, used| KeptFolder {
        path: name.into(),
        bytes: 10,
        used: at(used),
    };
    let steps = vec![step("new", &[], 9), step("old", &[], 1)];
    let mut stock = stock(steps, Vec::new());
    stock.folders = vec![folder("mid", 5), folder("today", 990)];
    let chosen = |budget| {
        let chosen = choose(&stock, budget, MayGo::ForRoom { named: false }, at(1000));
        let folders = chosen.folders.iter().map(|path| path.display().to_string());
        chosen.steps.into_iter().chain(folders).collect::<Vec<_>>()
    };
    assert!(chosen(40).is_empty());
    assert_eq!(chosen(30), ["old"]);
    assert_eq!(chosen(20), ["old", "mid"]);
    assert_eq!(chosen(0), ["new", "old", "mid"]);
}

#[test]
fn what_is_to_be_removed_of_builds_is_chosen_alike() {
    let steps = vec![
        step("new", &[], 990),
        step("old", &[], 1),
        step("image", &[], 2),
    ];
    let mut stock = stock(steps, vec![image("one", true, &["image"], 1)]);
    stock.folders = vec![KeptFolder {
        path: "folder".into(),
        bytes: 10,
        used: at(5),
    }];
    let chosen = |budget, hours: u64, all| {
        let unused_for = Duration::from_secs(hours * 3600);
        let chosen = choose(
            &stock,
            budget,
            MayGo::OfBuilds { unused_for, all },
            at(1000),
        );
        assert!(chosen.images.is_empty());
        let folders = chosen.folders.iter().map(|path| path.display().to_string());
        chosen.steps.into_iter().chain(folders).collect::<Vec<_>>()
    };
    assert_eq!(chosen(0, 0, false), ["new", "old"]);
    assert_eq!(chosen(0, 0, true), ["image", "new", "old", "folder"]);
    assert_eq!(chosen(0, 100, true), ["image", "old", "folder"]);
    assert_eq!(chosen(20, 0, false), ["old"]);
    assert!(chosen(30, 0, false).is_empty());
}

#[test]
fn a_step_goes_after_those_that_stand_upon_it() {
    let chain = vec![
        step("a", &[], 1),
        step("b", &["a"], 8),
        step("other", &[], 5),
    ];
    let stock = stock(chain, Vec::new());
    assert_eq!(names(&stock, 20, false).0, ["other"]);
    assert_eq!(names(&stock, 10, false).0, ["b", "other"]);
}

#[test]
fn a_shared_layer_counts_once_and_goes_with_its_last_holder() {
    let images = vec![
        image("one", false, &["base", "x"], 1),
        image("two", false, &["base", "y"], 2),
    ];
    let stock = stock(Vec::new(), images);
    assert_eq!(names(&stock, 30, false).1, Vec::<usize>::new());
    assert_eq!(names(&stock, 20, false).1, [0]);
    assert_eq!(names(&stock, 19, false).1, [0, 1]);
}

#[test]
fn images_with_a_name_stay_unless_a_budget_was_set_and_they_were_not_used_today() {
    let images = vec![
        image("today", true, &["a"], 990),
        image("old", true, &["b"], 1),
        image("unnamed", false, &["c"], 999),
    ];
    let stock = stock(Vec::new(), images);
    assert_eq!(names(&stock, 0, false).1, [2]);
    assert_eq!(names(&stock, 20, true).1, [2], "those without one go first");
    assert_eq!(names(&stock, 0, true).1, [1, 2]);
}

#[test]
fn what_containers_and_images_have_stays_and_steps_go_with_their_image() {
    let steps = vec![step("base", &[], 1), step("x", &["base"], 1)];
    let images = vec![image("built", true, &["base", "x"], 1)];
    let mut stock = stock(steps, images);
    assert_eq!(names(&stock, 0, false), (Vec::new(), Vec::new()));
    assert_eq!(names(&stock, 10, true), (vec!["x".to_owned()], vec![0]));
    stock.in_use.layers = stock.images[0].layers.iter().cloned().collect();
    stock.in_use.images.insert(stock.images[0].id.clone());
    assert_eq!(names(&stock, 0, true), (Vec::new(), Vec::new()));
}

#[test]
fn budgets_are_read() {
    for (text, expected) in [
        ("off", Some(Budget::Off)),
        ("40GB", Some(Budget::Bytes(40 << 30))),
        ("30%", Some(Budget::Percent(30))),
        ("0", None),
        ("0%", None),
        ("101%", None),
        ("much", None),
    ] {
        assert_eq!(Budget::parse(text), expected, "{text}");
    }
    assert_eq!(Budget::Default.bytes(1000), Some(500));
    assert_eq!(Budget::Percent(30).bytes(1000), Some(300));
    assert_eq!(Budget::Off.bytes(1000), None);
    assert!(!Budget::Default.takes_named());
}
