using System.ComponentModel;
using System.Runtime.InteropServices;
using System.Text;

namespace Shinano.Linux;

/// <summary>Bridges of the host: whether there is one, and connecting an interface to it. Source: linux/sockios.h, linux/if.h.</summary>
public static partial class HostBridge
{
    private const int InternetFamily = 2; // AF_INET
    private const int Datagram = 2 | 0x80000; // SOCK_DGRAM, SOCK_CLOEXEC
    private const uint GetFlags = 0x8913; // SIOCGIFFLAGS
    private const uint SetFlags = 0x8914; // SIOCSIFFLAGS
    private const uint GetIndex = 0x8933; // SIOCGIFINDEX
    private const uint AddToBridge = 0x89a2; // SIOCBRADDIF
    private const ushort Up = 1; // IFF_UP
    private const int Busy = 16; // EBUSY: it is on the bridge already
    private const int NameSize = 16; // IFNAMSIZ
    private const int RequestSize = 40; // struct ifreq

    /// <summary>Whether an interface is a bridge, in this process's network namespace.</summary>
    public static bool Exists(string name) => name.Length > 0 && !name.Contains('/', StringComparison.Ordinal) && Directory.Exists($"/sys/class/net/{name}/bridge");

    /// <summary>Connects an interface to a bridge and sets it up.</summary>
    /// <exception cref="IOException">The kernel refused: no root, no such interface.</exception>
    public static void Connect(string bridge, string name)
    {
        int socket = Socket(InternetFamily, Datagram, 0);
        if (socket < 0)
        {
            throw Failure("socket");
        }

        try
        {
            byte[] member = Request(name);
            Check(Control(socket, GetIndex, member), name);
            byte[] request = Request(bridge);
            member.AsSpan(NameSize, sizeof(int)).CopyTo(request.AsSpan(NameSize));
            if (Control(socket, AddToBridge, request) != 0 && Marshal.GetLastPInvokeError() != Busy)
            {
                throw Failure($"{name} on bridge {bridge}");
            }

            byte[] flags = Request(name);
            Check(Control(socket, GetFlags, flags), name);
            flags[NameSize] |= (byte)Up;
            Check(Control(socket, SetFlags, flags), name);
        }
        finally
        {
            _ = Close(socket);
        }
    }

    private static byte[] Request(string name)
    {
        byte[] text = Encoding.ASCII.GetBytes(name);
        if (text.Length is 0 or >= NameSize)
        {
            throw new IOException($"'{name}' is no name of an interface");
        }

        byte[] request = new byte[RequestSize];
        text.CopyTo(request, 0);
        return request;
    }

    private static void Check(int result, string what)
    {
        if (result != 0)
        {
            throw Failure(what);
        }
    }

    private static IOException Failure(string what) => new($"{what}: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    private static partial int Socket(int family, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Control(int file, nuint request, [In, Out] byte[] argument);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int file);
}
