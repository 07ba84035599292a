//! The guest of config.toml, who needs no password.

use anyhow::bail;

use super::sql::Change;
use super::{Accounts, Allowance, NewAccount, Settings, UserName};
use crate::config::Guest;

impl Accounts {
    /// Makes the guest's account as the config has it; closed, if there shall be none.
    pub(super) async fn set_guest(&self, change: &mut Change, guest: &Guest) -> anyhow::Result<()> {
        let name: UserName = guest.name.parse()?;
        let Some(row) = change.account(name.as_str()).await? else {
            if !guest.enabled {
                return Ok(());
            }
            let mut new = NewAccount::new(name);
            new.home = guest.home.clone();
            apply(guest, &mut new.settings);
            self.insert(change, new, None).await?;
            return Ok(());
        };
        let found = self.account(row)?;
        if !found.settings.declared {
            if guest.enabled {
                bail!(
                    "guest.name is {name}, but there is a user {name} already: choose another name for the guest, or remove the user with: landfall user rm {name}"
                );
            }
            return Ok(());
        }
        let mut settings = found.settings.clone();
        apply(guest, &mut settings);
        if settings != found.settings {
            change.set_settings(name.as_str(), &settings).await?;
        }
        match &guest.home {
            Some(home) if guest.enabled && *home != found.home => {
                self.move_home(change, &name, home).await?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// What the config does not say of a guest stays as it is.
fn apply(guest: &Guest, settings: &mut Settings) {
    settings.declared = true;
    let (bytes, files) = guest.quota;
    settings.allowance = Allowance { bytes, files };
    settings.rules.disabled = !guest.enabled;
    settings.rules.permissions = guest.permissions.clone();
    settings.rules.max_sessions = guest.max_sessions;
}
