#!/usr/bin/perl
# SPDX-License-Identifier: MIT
#
# The least that a qmail-scanner does, without a shell: qs_perl.pl SPOOL CLAMD_CONF QUEUE
# loads its modules, spools message and envelope, unpacks with ripmime, has clamdscan
# look at the directory of the parts and of the raw message, then becomes QUEUE.
use strict;
use warnings;
use POSIX;
use DB_File;
use Time::HiRes;
use Sys::Syslog;

my ($spool, $conf, $queue) = @ARGV;
my $directory = sprintf '%s/%d.%d', $spool, Time::HiRes::time() * 1e6, $$;
mkdir $directory, 0700 or POSIX::_exit(53);

sub copy {
    my ($from, $name) = @_;
    my $file = "$directory/$name";
    sysopen my $to, $file, O_WRONLY | O_CREAT | O_EXCL, 0600 or POSIX::_exit(53);
    while (my $got = sysread $from, my $data, 65536) {
        syswrite($to, $data) == $got or POSIX::_exit(53);
    }
    close $to or POSIX::_exit(53);
    return $file;
}

open my $envelope_in, '<&=', 1 or POSIX::_exit(54);
my $message = copy(\*STDIN, 'message');
my $envelope = copy($envelope_in, '.envelope');

sub run {
    my $pid = fork;
    defined $pid or POSIX::_exit(51);
    if (!$pid) {
        open STDIN, '<', '/dev/null';
        POSIX::dup2(2, 1);
        exec { $_[0] } @_ or POSIX::_exit(120);
    }
    waitpid $pid, 0;
    return $? >> 8;
}

run('/usr/bin/ripmime', '-i', $message, '-d', $directory);
my $found = run('/usr/bin/clamdscan', "--config-file=$conf", '--fdpass', '--no-summary',
    '--quiet', $directory);

open STDIN, '<', $message or POSIX::_exit(54);
open my $again, '<', $envelope or POSIX::_exit(54);
POSIX::dup2(fileno $again, 1);
opendir(my $entries, $directory) or POSIX::_exit(53);
unlink map { "$directory/$_" } grep { !/^\.\.?$/ } readdir $entries;
rmdir $directory;
POSIX::_exit($found == 1 ? 31 : 71) if $found;
exec { $queue } $queue or POSIX::_exit(120);
