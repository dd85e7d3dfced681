using System.Collections.Concurrent;
using System.Net.Sockets;
using Shinano.Control.Api.Domains.Devices;
using Shinano.Devices.Display;
using Shinano.Devices.Paravirtual.Framebuffer;
using Shinano.Devices.Paravirtual.XenBus;

namespace Shinano.Machine.Devices;

/// <summary>Joins the framebuffers of a domain with their viewers and their keyboards.</summary>
/// <param name="name">The domain's name, for windows' titles.</param>
/// <param name="log">Takes a line for the process's log.</param>
internal sealed class DisplayWiring(Func<string> name, Action<string> log)
{
    private readonly ConcurrentDictionary<string, InputRelay> _inputs = [];

    /// <exception cref="BackEndException">The socket cannot be had.</exception>
    public FramebufferBackEnd CreateFramebuffer(FramebufferDeviceSpec spec)
    {
        FramebufferSurface surface = new();
        InputRelay input = new(surface);
        DisplayServer server = new(surface, input, new DisplayOptions
        {
            Name = name(),
            Password = spec.Password,
            Log = line => log($"vnc: {line}"),
        });
        try
        {
            DisplayListener listener = new(spec.SocketPath, server);
            _inputs[spec.Id] = input;
            return new FramebufferBackEnd(spec.Id, surface, listener);
        }
        catch (Exception e) when (e is SocketException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            server.Dispose();
            throw new BackEndException($"{spec.SocketPath}: {e.Message}", e);
        }
    }

    /// <exception cref="BackEndException">There is no framebuffer with this number.</exception>
    public KeyboardBackEnd CreateKeyboard(KeyboardDeviceSpec spec) => _inputs.TryGetValue(spec.Id, out InputRelay? input)
        ? new KeyboardBackEnd(spec.Id, input)
        : throw new BackEndException($"there is no framebuffer {spec.Id} for the keyboard");
}
