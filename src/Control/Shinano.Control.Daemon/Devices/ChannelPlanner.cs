using System.Globalization;
using Shinano.Control.Api.Domains.Devices;
using Shinano.Control.Api.Xend;
using Shinano.Control.Configuration.Consoles;
using Shinano.Control.Daemon.Domains;

namespace Shinano.Control.Daemon.Devices;

/// <summary>
/// What is done for consoles beside the first one. Nodes: libxl_console.c of Xen 4.17: libxl__device_console_add, and docs/misc/console.txt.
/// </summary>
internal static class ChannelPlanner
{
    /// <summary>libxl_internal.h: LIBXL_XENCONSOLE_LIMIT.</summary>
    private const string Limit = "1048576";

    /// <summary>libxl_internal.h: LIBXL_XENCONSOLE_PROTOCOL.</summary>
    private const string Protocol = "vt100";

    /// <summary>The devices, in the order in which they are made.</summary>
    public static IEnumerable<DevicePlan> PlansOf(IReadOnlyList<ChannelConfiguration> channels, DomainDirectory directory) =>
        channels.Select(channel => PlanOf(channel, SocketOf(channel, directory)));

    /// <summary>Where viewers attach.</summary>
    public static IReadOnlyList<ChannelDetails> DetailsOf(IReadOnlyList<ChannelConfiguration> channels, DomainDirectory directory) =>
        [.. channels.Select(channel => new ChannelDetails(channel.Number, channel.Name, SocketOf(channel, directory)))];

    private static string SocketOf(ChannelConfiguration channel, DomainDirectory directory) => channel.Path ?? directory.ChannelSocket(channel.Number);

    private static DevicePlan PlanOf(ChannelConfiguration channel, string socket)
    {
        bool isPty = channel.Connection == ChannelConnection.Pty;
        return new DevicePlan(
            new ConsoleDeviceSpec
            {
                Id = channel.Number.ToString(CultureInfo.InvariantCulture),
                SocketPath = socket,

                // As QEMU's back end: what was said to the last program is not said to the next one.
                SendsBacklog = isPty,
            },
            [("protocol", Protocol)],
            [("protocol", Protocol), ("name", channel.Name), .. isPty ? [("connection", "pty")] : ((string, string)[])[("connection", "socket"), ("path", socket)]],
            "console-event",
            [])
        {
            // No pty here, as with the first console: the socket that xm console connects to. "ioemu": all but the first console are QEMU's in Xen.
            FixedFrontNodes = [("name", channel.Name), ("limit", Limit), ("type", "ioemu"), ("output", "pty"), ("tty", socket)],
        };
    }
}
