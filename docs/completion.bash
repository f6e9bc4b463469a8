# SPDX-License-Identifier: GPL-2.0-or-later
# Completion of lkvm's command line for bash. All words come from lkvm itself: commands and options
# from its help, names from `lkvm list`.
# shellcheck disable=SC2207 # none of these words has a blank

_lkvm()
{
	local lkvm=${COMP_WORDS[0]} cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[1]} words=

	COMPREPLY=()
	if ((COMP_CWORD == 1)) || [[ $command == help ]]; then
		words="$("$lkvm" help 2>/dev/null | sed -n 's/^   \([a-z]*\) .*/\1/p') --help --version"
	elif [[ $cur == -* ]]; then
		words=$("$lkvm" "$command" --help 2>/dev/null |
			sed -n 's/^    [^ ]*[ ]*\(--[a-z0-9-]*\).*/\1/p; s/^    \(--[a-z0-9-]*\).*/\1/p')
	else
		case $command:$prev in
		*:--run-dir | *:--cwd | run:--hugetlbfs | run:--rodir | run:--rwdir | run:--modules | sandbox:--r[ow]dir)
			COMPREPLY=($(compgen -d -- "$cur"))
			return
			;;
		stop:-t | stop:--timeout | debug:-m | debug:--nmi | debug:-s | debug:--sysrq | \
			balloon:-i | balloon:--inflate | balloon:-d | balloon:--deflate | \
			link:-i | link:--nic | resize:-s | resize:--size) ;;
		screenshot:*)
			if ((COMP_CWORD > 2)); then
				COMPREPLY=($(compgen -f -- "$cur"))
				return
			fi
			words=$("$lkvm" list 2>/dev/null | sed '1d; s/ .*//')
			;;
		run:--vidmode) ;;
		run:--files | sandbox:--files) words='9p virtiofs' ;;
		sendkey:*)
			((COMP_CWORD > 2)) || words=$("$lkvm" list 2>/dev/null | sed '1d; s/ .*//')
			;;
		stop:* | pause:* | resume:* | balloon:* | resize:* | link:* | stat:* | debug:* | console:* | wait:* | exec:exec)
			words=$("$lkvm" list 2>/dev/null | sed '1d; s/ .*//')
			;;
		run:* | sandbox:*)
			COMPREPLY=($(compgen -f -- "$cur"))
			return
			;;
		esac
	fi
	COMPREPLY=($(compgen -W "$words" -- "$cur"))
}

complete -o filenames -F _lkvm lkvm
