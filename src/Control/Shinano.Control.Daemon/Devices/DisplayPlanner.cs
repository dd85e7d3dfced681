using System.Globalization;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Domains.Devices;
using Shinano.Control.Configuration.Displays;

namespace Shinano.Control.Daemon.Devices;

/// <summary>What is done for a display: a framebuffer, and its keyboard and pointer. Nodes: libxl_console.c of Xen 4.17: libxl__set_xenstore_vfb and _vkb.</summary>
internal static class DisplayPlanner
{
    private const string Id = "0";

    /// <summary>The two devices, in the order in which they are made.</summary>
    public static IReadOnlyList<DevicePlan> PlansOf(DisplayConfiguration? display, string socketPath) => display is null
        ? []
        :
        [
            new DevicePlan(
                new FramebufferDeviceSpec { Id = Id, SocketPath = socketPath, Password = display.Password },
                [],
                [
                    ("vnc", Flag(display.IsShown)),
                    ("vnclisten", display.Listen),

                    // libxl writes vncpasswd here, where the guest can read it.
                    ("vncdisplay", display.Display.ToString(CultureInfo.InvariantCulture)),
                    ("vncunused", Flag(display.FindUnused)),
                    ("sdl", "0"),
                    ("opengl", "0"),
                ],
                "vfb-event",
                []),
            new DevicePlan(new KeyboardDeviceSpec { Id = Id }, [], [("backend-type", "qemu")], "vkbd-event", []),
        ];

    /// <summary>What the domain process is told before it may no more open network sockets.</summary>
    public static VncSpec? VncOf(DisplayConfiguration? display, string socketPath) => display is { IsShown: true }
        ? new VncSpec { Listen = display.Listen, Display = display.Display, FindUnused = display.FindUnused, SocketPath = socketPath }
        : null;

    private static string Flag(bool value) => value ? "1" : "0";
}
