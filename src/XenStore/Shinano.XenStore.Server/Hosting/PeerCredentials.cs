using System.Buffers.Binary;
using System.Net.Sockets;

namespace Shinano.XenStore.Server.Hosting;

/// <summary>Who is at the other end of a unix socket, as the kernel vouches for it.</summary>
/// <param name="ProcessId">The process that connected.</param>
/// <param name="UserId">Its effective user then.</param>
internal readonly record struct PeerCredentials(int ProcessId, uint UserId)
{
    private const int SocketLevel = 1; // SOL_SOCKET, asm-generic/socket.h
    private const int Option = 17; // SO_PEERCRED: struct ucred { pid, uid, gid }, 4 bytes each

    internal static PeerCredentials Of(Socket socket)
    {
        Span<byte> credentials = stackalloc byte[12];
        socket.GetRawSocketOption(SocketLevel, Option, credentials);
        return new PeerCredentials(
            BinaryPrimitives.ReadInt32LittleEndian(credentials), BinaryPrimitives.ReadUInt32LittleEndian(credentials[4..]));
    }
}
