use fs_err as fs;
use tokio::sync::mpsc::unbounded_channel;

use super::*;
use crate::watch::tree::Kind;
use notify::Config;

fn watched(folder: &Path) -> Watched {
    let yaml = format!(
        "services: {{web: {{image: x, develop: {{watch: [{{path: '{}', action: sync, target: /app}}]}}}}}}",
        folder.display()
    );
    let file = folder.join("../compose.yaml");
    fs::write(&file, yaml).unwrap();
    let options = crate::compose::LoadOptions {
        files: vec![crate::compose::FileArg::Path(file.clone())],
        cwd: folder.to_owned(),
        ..Default::default()
    };
    let project = crate::compose::load(&options, &crate::compose::Host)
        .unwrap()
        .project;
    Watched {
        rules: Rules::of(&project).unwrap(),
        sources: BTreeSet::from([file.canonicalize().unwrap()]),
    }
}

fn begin(
    folders: impl FnOnce(mpsc::Sender<Input>) -> Folders,
) -> (tempfile::TempDir, PathBuf, Files, impl FnMut() -> News) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().canonicalize().unwrap().join("src");
    fs::create_dir(&folder).unwrap();
    let (sender, mut news) = unbounded_channel();
    let files = Files::start_with(watched(&folder), sender, folders).unwrap();
    let next = move || news.blocking_recv().unwrap();
    (root, folder, files, next)
}

fn changed(news: News) -> Vec<(String, Kind)> {
    let News::Changed { changes, .. } = news else {
        panic!("{news:?}");
    };
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    changes
        .iter()
        .map(|change| (name(&change.path), change.kind))
        .collect()
}

#[test]
fn the_limit_is_told_and_files_are_looked_at_instead() {
    let (_root, folder, _files, mut next) =
        begin(|input| Folders::with(Some(Box::new(Few(0))), input));
    let News::Limited { message } = next() else {
        panic!("no limit");
    };
    assert!(message.contains("limit of watched folders"), "{message}");
    assert!(
        message.contains("sudo sysctl fs.inotify.max_user_watches="),
        "{message}"
    );
    assert!(matches!(next(), News::Watching { .. }));
    fs::write(folder.join("new"), "1").unwrap();
    assert_eq!(changed(next()), [("new".to_owned(), Kind::File)]);
    fs::create_dir(folder.join("sub")).unwrap();
    fs::write(folder.join("sub/deep"), "1").unwrap();
    let found = changed(next());
    assert!(
        found.contains(&("deep".to_owned(), Kind::File)),
        "{found:?}"
    );
    fs::remove_file(folder.join("new")).unwrap();
    let gone = std::iter::repeat_with(|| changed(next()))
        .find(|changes| changes.contains(&("new".to_owned(), Kind::Gone)));
    assert!(gone.is_some());
}

#[test]
fn the_projects_own_files_are_told_apart() {
    let (root, folder, _files, mut next) = begin(Folders::new);
    assert!(matches!(next(), News::Watching { .. }));
    fs::write(root.path().join("compose.yaml"), "services: {}").unwrap();
    let News::Changed {
        changes, sources, ..
    } = next()
    else {
        panic!("nothing");
    };
    assert!(sources && changes.is_empty(), "{changes:?}");
    // Something beside it is nobody's business.
    fs::write(root.path().join("other"), "").unwrap();
    fs::write(folder.join("mine"), "").unwrap();
    assert_eq!(changed(next()), [("mine".to_owned(), Kind::File)]);
}

/// Hints that were lost: everything is looked at.
#[test]
fn after_an_overflow_all_is_looked_at() {
    let (_root, folder, files, mut next) =
        begin(|input| Folders::with(Some(Box::new(Few(usize::MAX))), input));
    assert!(matches!(next(), News::Watching { .. }));
    fs::create_dir(folder.join("sub")).unwrap();
    fs::write(folder.join("sub/unheard"), "1").unwrap();
    let overflow = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
    files.input.send(Input::Hint(Ok(overflow))).unwrap();
    assert_eq!(
        changed(next()),
        [
            ("sub".to_owned(), Kind::Folder),
            ("unheard".to_owned(), Kind::File)
        ]
    );
}

/// What a look had found already when the limit was reached is told, too.
#[test]
fn a_limit_that_is_reached_meanwhile_loses_nothing() {
    let (_root, folder, files, mut next) =
        begin(|input| Folders::with(Some(Box::new(Few(2))), input));
    assert!(matches!(next(), News::Watching { .. }));
    fs::write(folder.join("beside"), "1").unwrap();
    fs::create_dir(folder.join("sub")).unwrap();
    fs::write(folder.join("sub/deep"), "1").unwrap();
    let overflow = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
    files.input.send(Input::Hint(Ok(overflow))).unwrap();
    assert!(matches!(next(), News::Limited { .. }));
    let mut found = changed(next());
    found.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(
        found,
        [
            ("beside".to_owned(), Kind::File),
            ("deep".to_owned(), Kind::File),
            ("sub".to_owned(), Kind::Folder)
        ]
    );
}

/// A watcher that hears nothing, of so many folders.
#[derive(Debug)]
struct Few(usize);

impl Watcher for Few {
    fn new<F: notify::EventHandler>(_: F, _: Config) -> notify::Result<Self> {
        Ok(Self(0))
    }

    fn watch(&mut self, _: &Path, _: RecursiveMode) -> notify::Result<()> {
        let left = self.0.checked_sub(1);
        self.0 = left.ok_or_else(|| notify::Error::new(ErrorKind::MaxFilesWatch))?;
        Ok(())
    }

    fn unwatch(&mut self, _: &Path) -> notify::Result<()> {
        Ok(())
    }

    fn kind() -> notify::WatcherKind {
        notify::WatcherKind::NullWatcher
    }
}
