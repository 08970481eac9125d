//! The queue's promises: one taker, priorities, leases, nothing lost.

use super::*;
use crate::id::Id;

fn store() -> Store {
    let store = Store::open(Path::new(":memory:"), true).unwrap();
    store
        .now(|db| {
            let scene = StoredScene {
                id: Id::parse(&"0".repeat(32)).unwrap(),
                owner: "a".into(),
                name: "s".into(),
                created: 5,
                has_hole: false,
                photos: Vec::new(),
            };
            scene.insert(db, None)
        })
        .unwrap();
    store
}

fn put(store: &Store, priority: i64) -> Id {
    put_with(store, priority, "{}".into())
}

fn put_with(store: &Store, priority: i64, request: String) -> Id {
    let scene = Id::parse(&"0".repeat(32)).unwrap();
    let id = Id::random();
    let new = NewJob { id: id.clone(), owner: "a".into(), scene, request, priority, files: None };
    store.now(|db| Job::insert(db, &new)).unwrap();
    id
}

fn take(store: &Store, worker: &str, lease_secs: i64) -> Option<Id> {
    store.now(|db| Job::take(db, worker, lease_secs)).unwrap().map(|job| job.id)
}

fn end(store: &Store, id: &Id, worker: &str, ending: Ending) -> Option<JobState> {
    store.now(|db| Job::end(db, id, worker, &ending, &Told::default())).unwrap()
}

#[test]
fn jobs_come_by_priority_and_then_in_turn_each_to_one_worker() {
    let store = store();
    let jobs = [put(&store, 0), put(&store, 0), put(&store, 5)];
    assert_eq!(store.now(|db| Job::ahead(db, &jobs[1])).unwrap(), 2);
    let taken: Vec<Id> = ["x", "y", "z"].iter().filter_map(|worker| take(&store, worker, 60)).collect();
    assert_eq!(taken, [jobs[2].clone(), jobs[0].clone(), jobs[1].clone()]);
    assert_eq!(take(&store, "w", 60), None);
}

#[test]
fn a_job_whose_lease_ran_out_goes_to_another_and_is_ended_by_that_one_alone() {
    let store = store();
    let job = put(&store, 0);
    assert_eq!(take(&store, "dead", -1), Some(job.clone()));
    assert_eq!(take(&store, "alive", 60), Some(job.clone()));
    let renew = |worker| store.now(|db| Job::renew(db, &job, worker, 60, &Told::default())).unwrap();
    assert_eq!((renew("dead"), renew("alive")), (None, Some(false)));
    assert_eq!(end(&store, &job, "dead", Ending::Done), None);
    assert_eq!(end(&store, &job, "alive", Ending::Done), Some(JobState::Done));
    assert_eq!(take(&store, "alive", 60), None);
}

#[test]
fn a_stop_is_kept_over_the_end_of_the_process() {
    let store = store();
    let (stopped, running) = (put(&store, 1), put(&store, 0));
    take(&store, "x", 60);
    assert_eq!(store.now(|db| Job::stop(db, &stopped)).unwrap(), JobState::Running);
    take(&store, "x", 60);
    assert_eq!(store.now(|db| Job::give_back(db, None)).unwrap().len(), 2);
    assert_eq!(take(&store, "y", 60), Some(running));
    assert_eq!(take(&store, "y", 60), None);
    assert!(store.now(|db| Job::resume(db, &stopped, 9)).unwrap());
    assert_eq!(take(&store, "y", 60), Some(stopped));
}

#[test]
fn a_job_that_keeps_crashing_fails_with_the_reason() {
    let store = store();
    let job = put(&store, 0);
    for expected in [JobState::Waiting, JobState::Waiting, JobState::Failed] {
        take(&store, "x", 60);
        assert_eq!(end(&store, &job, "x", Ending::Crashed("no memory".into())), Some(expected));
    }
    let found = store.now(|db| Job::find(db, "a", &job)).unwrap().unwrap();
    assert_eq!(found.error.as_deref(), Some("no memory"));
    assert!(store.now(|db| Job::find(db, "b", &job)).unwrap().is_none(), "another owner sees it");
}

#[test]
fn a_job_that_takes_its_worker_down_again_and_again_fails_with_the_reason() {
    let found = |store: &Store, job: &Id| store.now(|db| Job::find(db, "a", job)).unwrap().unwrap();
    let give_back = |store: &Store| store.now(|db| Job::give_back(db, Some("x"))).unwrap().len();
    for is_found_at_a_start in [true, false] {
        let store = store();
        let job = put(&store, 0);
        for _ in 0..2 {
            assert_eq!(take(&store, "x", 60), Some(job.clone()));
            assert_eq!(give_back(&store), 1);
            assert_eq!(take(&store, "x", 60), Some(job.clone()));
            assert_eq!(end(&store, &job, "x", Ending::Parked), Some(JobState::Waiting), "a restart in good order");
        }
        for worker in ["dead", "dead too", "x"] {
            assert_eq!(take(&store, worker, if worker == "x" { 60 } else { -1 }), Some(job.clone()), "{worker}");
        }
        assert_eq!(end(&store, &job, "x", Ending::Crashed("once".into())), Some(JobState::Waiting), "its first crash");
        assert_eq!(take(&store, "x", if is_found_at_a_start { 60 } else { -1 }), Some(job.clone()));
        match is_found_at_a_start {
            true => assert_eq!(give_back(&store), 1),
            false => assert_eq!(take(&store, "y", 60), None),
        }
        let lost = found(&store, &job);
        assert_eq!((lost.state, lost.error.as_deref()), (JobState::Failed, Some(jobs::LOST)));
        let lines = store.now(|db| Events::after(db, &job, 0)).unwrap().unwrap();
        assert!(lines.last().unwrap().contains("the worker was lost"), "{lines:?}");
        assert_eq!(take(&store, "y", 60), None);
        assert!(store.now(|db| Job::resume(db, &job, 9)).unwrap());
        assert_eq!(take(&store, "x", 60), Some(job.clone()));
        give_back(&store);
        assert_eq!(found(&store, &job).state, JobState::Waiting, "it is counted anew");
    }
}

#[test]
fn a_job_that_is_to_stop_stops_however_often_its_worker_was_lost() {
    let store = store();
    let job = put(&store, 0);
    for _ in 0..4 {
        take(&store, "x", 60);
        store.now(|db| Job::give_back(db, None)).unwrap();
    }
    take(&store, "x", 60);
    store.now(|db| Job::stop(db, &job)).unwrap();
    store.now(|db| Job::give_back(db, None)).unwrap();
    let stopped = store.now(|db| Job::find(db, "a", &job)).unwrap().unwrap();
    assert_eq!((stopped.state, stopped.error), (JobState::Stopped, None));
}

#[test]
fn an_owner_has_no_more_than_the_limits_say() {
    let store = store();
    let (stopped, waiting) = (put(&store, 0), put(&store, 0));
    store.now(|db| Job::stop(db, &stopped)).unwrap();
    let is_full = |done: Result<(), StoreError>| matches!(done, Err(StoreError::Full(_)));
    for (most, expected) in [(1, true), (2, false)] {
        assert_eq!(is_full(store.now(|db| Job::check_room(db, "a", most))), expected);
        assert_eq!(is_full(store.now(|db| StoredScene::check_room(db, "a", most))), expected);
        assert!(!is_full(store.now(|db| Job::check_room(db, "b", most))), "another owner");
    }
    assert!(is_full(store.now(|db| Job::resume(db, &stopped, 1)).map(|_| ())));
    assert_eq!(take(&store, "x", 60), Some(waiting));
    assert_eq!(take(&store, "x", 60), None, "it was resumed all the same");
    assert!(store.now(|db| Job::resume(db, &stopped, 2)).unwrap());
    assert!(!store.now(|db| Job::resume(db, &stopped, 9)).unwrap(), "it waits already");
}

#[test]
fn a_running_job_keeps_its_scene() {
    let store = store();
    let scene = Id::parse(&"0".repeat(32)).unwrap();
    let job = put(&store, 0);
    take(&store, "x", 60);
    assert_eq!(store.now(|db| StoredScene::remove(db, &scene, None)).unwrap(), None);
    assert!(!store.now(|db| Job::remove(db, &job)).unwrap());
    end(&store, &job, "x", Ending::Stopped);
    assert_eq!(store.now(|db| StoredScene::unused_since(db, 10)).unwrap(), []);
    assert_eq!(store.now(|db| StoredScene::remove(db, &scene, None)).unwrap(), Some(vec![job]));
}

#[test]
fn a_scene_that_is_used_after_it_was_found_old_is_kept() {
    let (scene, before) = (Id::parse(&"0".repeat(32)).unwrap(), unix_now() - 60);
    let is_kept_after = |use_it: &dyn Fn(&Store)| {
        let store = store();
        assert_eq!(store.now(|db| StoredScene::unused_since(db, before)).unwrap(), std::slice::from_ref(&scene));
        use_it(&store);
        let removed = store.now(|db| StoredScene::remove(db, &scene, Some(before))).unwrap();
        let is_there = store.now(|db| StoredScene::find(db, "a", &scene)).unwrap().is_some();
        assert_eq!(removed.is_none(), is_there);
        is_there
    };
    assert!(!is_kept_after(&|_| {}));
    assert!(is_kept_after(&|store| store.now(|db| StoredScene::touch(db, &scene)).unwrap()), "it was looked at");
    assert!(is_kept_after(&|store| drop(put(store, 0))), "a job was added");
}

#[test]
fn a_key_is_good_for_one_content() {
    let store = store();
    let id = Id::random();
    let with = |content: &'static str| store.now(|db| Seen::with(db, "a", "k", content)).unwrap();
    assert_eq!(with("1"), Seen::Never);
    let claim = |content, id: &Id| store.now(|db| Seen::claim(db, "a", Some("k"), content, id)).unwrap();
    assert_eq!(claim("1", &id), Seen::Never);
    assert_eq!(claim("1", &Id::random()), Seen::Same(id.clone()), "a slower request makes another");
    assert_eq!(claim("2", &Id::random()), Seen::Other, "a slower request gets what it did not ask for");
    assert_eq!((with("1"), with("2")), (Seen::Same(id), Seen::Other));
}

#[test]
fn a_job_is_needed_while_another_that_takes_its_adapter_waits_or_runs() {
    let store = store();
    let (first, stranger) = (put(&store, 2), put(&store, 0));
    let second = put_with(&store, 1, format!(r#"{{"scene":"{}","adapter_of":"{first}"}}"#, "0".repeat(32)));
    let needed_by = |id| store.now(|db| Job::needed_by(db, id)).unwrap();
    assert_eq!((needed_by(&first), needed_by(&stranger)), (Some(second.clone()), None));
    assert_eq!(take(&store, "x", 60), Some(first.clone()));
    end(&store, &first, "x", Ending::Done);
    assert_eq!(take(&store, "x", 60), Some(second.clone()));
    assert_eq!(needed_by(&first), Some(second.clone()), "it runs");
    end(&store, &second, "x", Ending::Done);
    assert_eq!(needed_by(&first), None);
}

#[test]
fn what_is_looked_at_is_used_which_is_noted_once_a_day() {
    let store = store();
    let scene = Id::parse(&"0".repeat(32)).unwrap();
    let unused_since = |before| store.now(|db| StoredScene::unused_since(db, before)).unwrap();
    let touch = || store.now(|db| StoredScene::touch(db, &scene)).unwrap();
    assert_eq!(unused_since(10), std::slice::from_ref(&scene));
    touch();
    assert_eq!(unused_since(unix_now() - 60), []);
    let an_hour_ago = format!("UPDATE scenes SET used = {}", unix_now() - 3600);
    store.now(|db| db.execute(&an_hour_ago, &[])).unwrap();
    touch();
    assert_eq!(unused_since(unix_now() - 60), std::slice::from_ref(&scene), "it is noted again");
}

#[test]
fn a_database_has_one_id_for_ever() {
    let store = store();
    let [first, again] = [0, 1].map(|_| store.now(Installation::of).unwrap());
    assert!(first.is_new && !again.is_new && first.id == again.id, "{first:?}, {again:?}");
    assert_ne!(Store::open(Path::new(":memory:"), true).unwrap().now(Installation::of).unwrap().id, first.id);
}
