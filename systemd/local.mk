# SPDX-License-Identifier: MIT
systemdsystemunit_DATA += \
	systemd/rtgcd.service \
	systemd/rtgcd.socket \
	systemd/rtgcd-control.socket \
	systemd/rtgcd-http.socket
EXTRA_DIST += \
	systemd/rtgcd.catalog \
	systemd/sysusers.conf \
	systemd/rtgcd.service.in \
	systemd/rtgcd.socket \
	systemd/rtgcd-control.socket \
	systemd/rtgcd-http.socket
CLEANFILES += systemd/rtgcd.service

systemd/rtgcd.service: systemd/rtgcd.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && \
	$(SED) -e 's|@sbindir[@]|$(sbindir)|g' $(srcdir)/systemd/rtgcd.service.in >$@.tmp && \
	mv $@.tmp $@

catalogdir = $(prefix)/lib/systemd/catalog
catalog_DATA = systemd/rtgcd.catalog

# sysusers.d/rtgcd.conf: the file would have the name of the configuration.
sysusersdir = $(prefix)/lib/sysusers.d
install-data-local: install-sysusers
uninstall-local: uninstall-sysusers
.PHONY: install-sysusers uninstall-sysusers

install-sysusers:
	$(MKDIR_P) '$(DESTDIR)$(sysusersdir)'
	$(INSTALL_DATA) '$(srcdir)/systemd/sysusers.conf' '$(DESTDIR)$(sysusersdir)/rtgcd.conf'

uninstall-sysusers:
	rm -f '$(DESTDIR)$(sysusersdir)/rtgcd.conf'
