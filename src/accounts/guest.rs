//! The guest of config.toml, who needs no password.

use anyhow::bail;

use super::{Accounts, Allowance, NewAccount, Settings, UserName};
use crate::config::Guest;

impl Accounts {
    /// Makes the guest's account as the config has it; closed, if there shall be none.
    pub(super) async fn keep_guest(&self, guest: &Guest) -> anyhow::Result<()> {
        let name: UserName = guest.name.parse()?;
        let found = self.find_any(&name).await?;
        let Some(found) = found else {
            if !guest.enabled {
                return Ok(());
            }
            let mut new = NewAccount::new(name);
            new.home = guest.home.clone();
            apply(guest, &mut new.settings);
            self.add(new).await?;
            return Ok(());
        };
        if !found.account.settings.declared {
            if guest.enabled {
                bail!(
                    "guest.name is {name}, but there is a user {name} already: choose another name for the guest, or remove the user with: landfall user rm {name}"
                );
            }
            return Ok(());
        }
        let mut settings = found.account.settings.clone();
        apply(guest, &mut settings);
        if settings != found.account.settings {
            self.set(&name, |settings| apply(guest, settings)).await?;
        }
        match &guest.home {
            Some(home) if guest.enabled && *home != found.account.home => {
                self.set_home(&name, home).await?;
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
