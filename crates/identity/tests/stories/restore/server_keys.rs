//! The keys of the server that devices believe, in a backup and after it.

use super::*;

#[test]
fn a_restore_keeps_the_installation_key_and_makes_another_command_key_for_numbers_may_have_been_used() {
    let mut house = House::new();
    house.run(Command::KeepServerKeys);
    let (version, expires) = house.registrar().server_keys().next_key_set(house.now);
    house.run(Command::KeepKeySet { version, expires, message: vec![7] });
    let before = house.registrar().server_keys().clone();
    let backup = back_up(&house);
    house.now.0 += HOUR;
    restore(&mut house, &backup, None);
    house.run(Command::KeepServerKeys);
    let keys = house.registrar().server_keys();
    assert_eq!(keys.installation(), before.installation());
    assert_eq!(keys.commands().len(), 1);
    assert_ne!(keys.commands()[0].key, before.commands()[0].key);
    assert!(keys.is_key_set_due(house.now) && keys.next_key_set(house.now).0 > version);
    let files = keyward_identity::restore::files(house.dir.path()).unwrap();
    let is_in = |name: &str| files.iter().any(|file| file.path.to_string_lossy().starts_with(name));
    assert!(is_in("keys/installation.key") && is_in("keys/command-"));
}
