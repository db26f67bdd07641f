# SPDX-License-Identifier: MIT
# The shipped configuration is all comments; one that is there already is left alone.
EXTRA_DIST += etc/rtgcd.conf
confdir = $(sysconfdir)/rtgcd

install-data-local: install-conf
uninstall-local: uninstall-conf
.PHONY: install-conf uninstall-conf

install-conf:
	$(MKDIR_P) '$(DESTDIR)$(confdir)'
	test -e '$(DESTDIR)$(confdir)/rtgcd.conf' || \
		$(INSTALL_DATA) '$(srcdir)/etc/rtgcd.conf' '$(DESTDIR)$(confdir)/rtgcd.conf'

# Only as it was shipped: what somebody wrote is not ours to remove.
uninstall-conf:
	if cmp -s '$(srcdir)/etc/rtgcd.conf' '$(DESTDIR)$(confdir)/rtgcd.conf'; then \
		rm -f '$(DESTDIR)$(confdir)/rtgcd.conf'; \
	fi
