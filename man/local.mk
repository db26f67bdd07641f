# SPDX-License-Identifier: MIT
# All pages are mdoc(7).
dist_man_MANS += \
	man/libruntime.3 \
	man/rtgc-control.7 \
	man/rtgc-guide.7 \
	man/rtgc-protocol.7 \
	man/rtgc.1 \
	man/rtgc_asked.3 \
	man/rtgc_begin.3 \
	man/rtgc_check.3 \
	man/rtgc_dispatch.3 \
	man/rtgc_open.3 \
	man/rtgc_publish.3 \
	man/rtgc_reopen.3 \
	man/rtgc_status.3 \
	man/rtgcctl.1 \
	man/rtgcd-events.5 \
	man/rtgcd-metrics.7 \
	man/rtgcd.8 \
	man/rtgcd.conf.5

# A page by each function's own name: NAME:PAGE.
man3_links = \
	rtgc_answer:rtgc_asked \
	rtgc_end:rtgc_begin \
	rtgc_record:rtgc_begin \
	rtgc_offer:rtgc_begin \
	rtgc_pending:rtgc_check \
	rtgc_quiet:rtgc_check \
	rtgc_decline:rtgc_check \
	rtgc_fd:rtgc_dispatch \
	rtgc_close:rtgc_open \
	rtgc_idle:rtgc_publish \
	rtgc_busy:rtgc_publish \
	rtgc_deadline:rtgc_publish \
	rtgc_now:rtgc_status \
	rtgc_version:rtgc_status \
	rtgc_verdict_name:rtgc_status

install-data-local: install-man-links
uninstall-local: uninstall-man-links
.PHONY: install-man-links uninstall-man-links

install-man-links:
	$(MKDIR_P) '$(DESTDIR)$(man3dir)'
	for link in $(man3_links); do \
		echo ".so man3/$${link#*:}.3" >'$(DESTDIR)$(man3dir)'/$${link%:*}.3 || exit 1; \
	done

uninstall-man-links:
	for link in $(man3_links); do rm -f '$(DESTDIR)$(man3dir)'/$${link%:*}.3; done
