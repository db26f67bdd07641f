# SPDX-License-Identifier: MIT
systemdsystemunit_DATA += \
	systemd/rtgcd.service \
	systemd/rtgcd.socket \
	systemd/rtgcd-control.socket
EXTRA_DIST += \
	systemd/rtgcd.service.in \
	systemd/rtgcd.socket \
	systemd/rtgcd-control.socket
CLEANFILES += systemd/rtgcd.service

systemd/rtgcd.service: systemd/rtgcd.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && \
	$(SED) -e 's|@sbindir[@]|$(sbindir)|g' $(srcdir)/systemd/rtgcd.service.in >$@.tmp && \
	mv $@.tmp $@
