//! Loading takes as much more as there is more to load, of every kind of
//! project: counted in allocations, which a busy machine does not change.

#[cfg(test)]
#[path = "../benches/projects.rs"]
mod projects;

#[cfg(test)]
mod tests {
    use allocation_counter::{AllocationInfo, measure};
    use skiff::compose::load;

    use crate::projects::Kind;

    fn loading(kind: Kind, services: usize) -> AllocationInfo {
        let (options, memory) = kind.in_memory(services);
        measure(|| {
            let loaded = load(&options, &memory).unwrap();
            assert!(loaded.project.services.len() >= services);
        })
    }

    #[test]
    fn work_and_memory_grow_with_the_number_of_services() {
        for kind in Kind::ALL {
            let (few, many) = (loading(kind, 250), loading(kind, 1_000));
            // Four times as much, and a little for tables that double.
            let most = few.count_total * 43 / 10;
            assert!(many.count_total <= most, "{kind:?}: {few:?} {many:?}");
            let most = few.bytes_total * 5;
            assert!(many.bytes_total <= most, "{kind:?}: {few:?} {many:?}");
            let most = few.bytes_max * 5;
            assert!(many.bytes_max <= most, "{kind:?}: {few:?} {many:?}");
        }
    }

    #[test]
    fn two_thousand_services_take_less_than_200_mb() {
        let lines = Kind::Plain.files(2_000)[0].1.lines().count();
        assert!(lines >= 60_000, "{lines} lines");
        let most = loading(Kind::Plain, 2_000).bytes_max;
        assert!(most < 200_000_000, "{most} bytes");
    }
}
