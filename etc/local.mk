# SPDX-License-Identifier: MIT
# The shipped configuration is all comments; one that is there already is left alone.
EXTRA_DIST += etc/rtgcd.conf
confdir = $(sysconfdir)/rtgcd

# For Prometheus and Grafana.
EXTRA_DIST += etc/rtgcd-alerts.yml etc/rtgcd-dashboard.json
examplesdir = $(docdir)/examples
examples_DATA = etc/rtgcd-alerts.yml etc/rtgcd-dashboard.json

# Completions, where the shells look for them by the command's name.
EXTRA_DIST += etc/rtgcctl.bash etc/_rtgcctl
bashcompletiondir = $(datadir)/bash-completion/completions

install-data-local: install-conf install-completions
uninstall-local: uninstall-conf uninstall-completions
.PHONY: install-conf uninstall-conf install-completions uninstall-completions

install-completions:
	$(MKDIR_P) '$(DESTDIR)$(bashcompletiondir)' '$(DESTDIR)$(zshcompletiondir)'
	$(INSTALL_DATA) '$(srcdir)/etc/rtgcctl.bash' '$(DESTDIR)$(bashcompletiondir)/rtgcctl'
	$(INSTALL_DATA) '$(srcdir)/etc/_rtgcctl' '$(DESTDIR)$(zshcompletiondir)/_rtgcctl'

uninstall-completions:
	rm -f '$(DESTDIR)$(bashcompletiondir)/rtgcctl' '$(DESTDIR)$(zshcompletiondir)/_rtgcctl'

install-conf:
	$(MKDIR_P) '$(DESTDIR)$(confdir)'
	test -e '$(DESTDIR)$(confdir)/rtgcd.conf' || \
		$(INSTALL_DATA) '$(srcdir)/etc/rtgcd.conf' '$(DESTDIR)$(confdir)/rtgcd.conf'

# Only as it was shipped: what somebody wrote is not ours to remove.
uninstall-conf:
	if cmp -s '$(srcdir)/etc/rtgcd.conf' '$(DESTDIR)$(confdir)/rtgcd.conf'; then \
		rm -f '$(DESTDIR)$(confdir)/rtgcd.conf'; \
	fi
