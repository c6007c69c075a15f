# A debugger that speaks the remote protocol (Debugging with GDB, appendix E): sends each argument as a packet and prints what is answered to it. `!` is an interrupt
# after half a second.
use strict;
use warnings;
use IO::Socket::UNIX;
$| = 1;
my $path = shift;
my $link;
for (1 .. 100) {
    $link = IO::Socket::UNIX->new(Peer => $path) and last;
    select(undef, undef, undef, 0.1);
}
die "$path: $!\n" unless $link;
$link->autoflush(1);

sub receive {
    my ($packet, $char) = ('', '');
    do { sysread($link, $char, 1) or return 'closed' } until $char eq '$';
    while (sysread($link, $char, 1) && $char ne '#') { $packet .= $char }
    sysread($link, $char, 1) for 1 .. 2;
    syswrite($link, '+');
    # Runs of a character are written shorter.
    $packet =~ s/(.)\*(.)/$1 x (ord($2) - 28)/ge;
    return $packet;
}

for my $at (0 .. $#ARGV) {
    my $packet = $ARGV[$at];
    if ($packet eq '!') {
        select(undef, undef, undef, 0.5);
        syswrite($link, "\x03");
    } else {
        my $sum = 0;
        $sum += ord for split //, $packet;
        syswrite($link, sprintf('$%s#%02x', $packet, $sum & 255));
        # It is answered when the program stops.
        next if $at < $#ARGV and $ARGV[$at + 1] eq '!';
    }
    print "$packet ", receive(), "\n";
}
