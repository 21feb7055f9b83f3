//! One budget of disk space for images and what builds keep. What has it longest
//! unused goes first: steps of builds and folders that they kept, then images without a name, and, where the
//! user set a budget, images with one. What a container needs never goes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::build::solve::{Kept, KeptFolder};
use crate::compose::parse_bytes;
use crate::env;
use crate::image::{Digest, InUse};

/// Half of the file system. `BuildKit` keeps to a tenth, but counts nothing else than
/// builds' steps; images are the greater part of most stores, and those with a name
/// are not touched unless somebody says how much they may take.
const DEFAULT_PERCENT: u64 = 50;
/// What was used less long ago is at hand: another command may be about to use it.
const AT_HAND: Duration = Duration::from_secs(24 * 60 * 60);

/// How much images and builds may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Budget {
    /// Whatever there is.
    Off,
    /// So many bytes.
    Bytes(u64),
    /// Hundredths of the file system.
    Percent(u64),
    /// As [`Budget::Percent`], but nobody asked for it.
    Default,
}

impl Budget {
    /// What `SKIFF_DISK_BUDGET` says.
    ///
    /// # Errors
    /// The text, where it is no size.
    pub(super) fn from_env() -> Result<Self, String> {
        match env::read_string(env::SKIFF_DISK_BUDGET) {
            None => Ok(Self::Default),
            Some(text) => Self::parse(&text).ok_or(text),
        }
    }

    /// `40GB`, `30%`, `off`.
    fn parse(text: &str) -> Option<Self> {
        if text == "off" {
            return Some(Self::Off);
        }
        if let Some(percent) = text.strip_suffix('%') {
            let percent = percent.trim().parse().ok()?;
            return (1..=100)
                .contains(&percent)
                .then_some(Self::Percent(percent));
        }
        let bytes = u64::try_from(parse_bytes(text)?).ok()?;
        (bytes > 0).then_some(Self::Bytes(bytes))
    }

    /// In bytes, of a file system of this size; absent: without end.
    pub(super) fn bytes(self, file_system: u64) -> Option<u64> {
        let share = |percent: u64| Some(file_system / 100 * percent);
        match self {
            Self::Off => None,
            Self::Bytes(bytes) => Some(bytes),
            Self::Percent(percent) => share(percent),
            Self::Default => share(DEFAULT_PERCENT),
        }
    }

    /// Whether images with a name may go.
    pub(super) fn takes_named(self) -> bool {
        matches!(self, Self::Bytes(_) | Self::Percent(_))
    }
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    /// Its id.
    pub(super) id: Digest,
    /// Whether somebody can ask for it.
    pub(super) is_named: bool,
    /// Its layers.
    pub(super) layers: Vec<Digest>,
    /// When it was last used.
    pub(super) used: SystemTime,
}

/// All that takes room.
#[derive(Debug, Clone, Default)]
pub(super) struct Stock {
    /// Bytes of each layer.
    pub(super) sizes: BTreeMap<Digest, u64>,
    /// What builds keep.
    pub(super) steps: Vec<Kept>,
    /// And beside layers.
    pub(super) folders: Vec<KeptFolder>,
    /// All but the built-in ones.
    pub(super) images: Vec<Image>,
    /// What containers need, and what is never to go.
    pub(super) in_use: InUse,
}

/// What goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Keys of steps.
    pub(super) steps: BTreeSet<String>,
    /// Folders that builds kept.
    pub(super) folders: BTreeSet<PathBuf>,
    /// Ids of images.
    pub(super) images: BTreeSet<Digest>,
}

impl Chosen {
    /// Whether all may stay.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.folders.is_empty() && self.images.is_empty()
    }
}

/// What may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MayGo {
    /// What makes room by itself: what builds keep, and images.
    ForRoom {
        /// Those with a name, too.
        named: bool,
    },
    /// What somebody wants removed of what builds keep. What images have does not count.
    OfBuilds {
        /// What was not used for so long.
        unused_for: Duration,
        /// Steps that images have, too, which frees nothing, and folders.
        all: bool,
    },
}

/// Chooses what goes until the rest fits into so many bytes, or nothing more may go.
pub(super) fn choose(stock: &Stock, budget: u64, may_go: MayGo, now: SystemTime) -> Chosen {
    let mut room = Room::new(stock, may_go);
    let mut chosen = Chosen::default();
    let age = |used| now.duration_since(used).unwrap_or_default();
    let kept = in_order(stock, |one| match (may_go, one) {
        (MayGo::ForRoom { .. }, OfBuilds::Step(_)) => true,
        // The next build fills it again at its cost.
        (MayGo::ForRoom { .. }, OfBuilds::Folder(folder)) => age(folder.used) >= AT_HAND,
        (MayGo::OfBuilds { unused_for, .. }, OfBuilds::Step(step)) => age(step.used) >= unused_for,
        (MayGo::OfBuilds { unused_for, all }, OfBuilds::Folder(folder)) => {
            all && age(folder.used) >= unused_for
        }
    });
    room.forget(&kept, budget, &mut chosen);
    let MayGo::ForRoom { named } = may_go else {
        return chosen;
    };
    let mut images: Vec<&Image> = stock
        .images
        .iter()
        .filter(|image| !stock.in_use.images.contains(&image.id))
        .collect();
    images.sort_by_key(|image| (image.is_named, image.used));
    for image in images {
        let is_at_hand = age(image.used) < AT_HAND;
        if room.total <= budget || image.is_named && (!named || is_at_hand) {
            continue;
        }
        chosen.images.insert(image.id.clone());
        room.let_go(&image.layers);
        // The steps that made it kept its layers.
        room.forget(&kept, budget, &mut chosen);
    }
    chosen
}

/// Something that builds keep.
#[derive(Clone, Copy)]
enum OfBuilds<'s> {
    Step(&'s Kept),
    Folder(&'s KeptFolder),
}

/// What may go, the longest unused first. A step counts as used when one was that stands
/// upon it, and goes after that.
fn in_order<'s>(stock: &'s Stock, may_go: impl Fn(OfBuilds<'s>) -> bool) -> Vec<OfBuilds<'s>> {
    let mut used: BTreeMap<&Digest, SystemTime> = BTreeMap::new();
    for step in &stock.steps {
        for below in &step.below {
            let latest = used.entry(below).or_insert(step.used);
            *latest = (*latest).max(step.used);
        }
    }
    let steps = stock.steps.iter().map(|step| {
        let above = step.layer.as_ref().and_then(|layer| used.get(layer));
        let latest = above.map_or(step.used, |above| step.used.max(*above));
        let depth = std::cmp::Reverse(step.below.len());
        ((latest, depth), OfBuilds::Step(step))
    });
    let folders = stock.folders.iter().map(|folder| {
        let order = (folder.used, std::cmp::Reverse(0));
        (order, OfBuilds::Folder(folder))
    });
    let all = steps.chain(folders);
    let mut ordered: Vec<_> = all.filter(|(_, one)| may_go(*one)).collect();
    ordered.sort_by_key(|(order, _)| *order);
    ordered.into_iter().map(|(_, one)| one).collect()
}

/// Who holds which layer.
struct Room<'s> {
    sizes: &'s BTreeMap<Digest, u64>,
    holders: BTreeMap<&'s Digest, usize>,
    /// Holders that are no steps.
    others: BTreeMap<&'s Digest, usize>,
    /// Bytes of what is held and counts.
    total: u64,
    /// Steps go whoever has their layers.
    takes_held: bool,
}

impl<'s> Room<'s> {
    fn new(stock: &'s Stock, may_go: MayGo) -> Self {
        let mut others: BTreeMap<&Digest, usize> = BTreeMap::new();
        let of_images = stock.images.iter().flat_map(|image| &image.layers);
        for layer in stock.in_use.layers.iter().chain(of_images) {
            *others.entry(layer).or_default() += 1;
        }
        let mut holders = others.clone();
        let of_steps = stock
            .steps
            .iter()
            .flat_map(|step| step.layer.iter().chain(&step.below));
        for layer in of_steps {
            *holders.entry(layer).or_default() += 1;
        }
        let for_room = matches!(may_go, MayGo::ForRoom { .. });
        let counted = holders.keys();
        let counted = counted.filter(|layer| for_room || !others.contains_key(*layer));
        let layers = counted.filter_map(|layer| stock.sizes.get(*layer));
        let folders = stock.folders.iter().map(|folder| &folder.bytes);
        Self {
            total: layers.chain(folders).sum(),
            takes_held: matches!(may_go, MayGo::OfBuilds { all: true, .. }),
            sizes: &stock.sizes,
            holders,
            others,
        }
    }

    /// Forgets what builds keep until all fits. A step whose layer stays anyway is kept.
    fn forget(&mut self, ordered: &[OfBuilds<'s>], budget: u64, chosen: &mut Chosen) {
        for one in ordered {
            if self.total <= budget {
                return;
            }
            let step = match one {
                OfBuilds::Step(step) => step,
                OfBuilds::Folder(folder) => {
                    if chosen.folders.insert(folder.path.clone()) {
                        self.total -= folder.bytes;
                    }
                    continue;
                }
            };
            let stays = step
                .layer
                .as_ref()
                .is_none_or(|layer| self.others.get(layer).is_some_and(|count| *count > 0));
            if (!stays || self.takes_held) && chosen.steps.insert(step.key.clone()) {
                for layer in step.layer.iter().chain(&step.below) {
                    self.drop_holder(layer);
                }
            }
        }
    }

    fn let_go(&mut self, layers: &'s [Digest]) {
        for layer in layers {
            if let Some(count) = self.others.get_mut(layer) {
                *count = count.saturating_sub(1);
            }
            self.drop_holder(layer);
        }
    }

    fn drop_holder(&mut self, layer: &Digest) {
        if let Some(count) = self.holders.get_mut(layer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.total -= self.sizes.get(layer).copied().unwrap_or_default();
            }
        }
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
