using System.Buffers.Binary;
using System.Net.Sockets;

namespace Shinano.Linux;

/// <summary>Who is at the other end of a unix socket, as the kernel saw it when it connected (unix(7): SO_PEERCRED).</summary>
/// <param name="ProcessId">Its process.</param>
/// <param name="UserId">Its effective user.</param>
public readonly record struct PeerCredentials(int ProcessId, uint UserId)
{
    private const int SolSocket = 1;
    private const int SoPeerCred = 17;

    /// <summary>It is of our own user, or root.</summary>
    public bool IsTrusted => UserId == 0 || UserId == ProcessIdentity.EffectiveUserId;

    /// <exception cref="SocketException">It is no unix socket, or not connected.</exception>
    public static PeerCredentials Of(Socket socket)
    {
        ArgumentNullException.ThrowIfNull(socket);

        // struct ucred { pid_t pid; uid_t uid; gid_t gid; }
        byte[] credentials = new byte[12];
        _ = socket.GetRawSocketOption(SolSocket, SoPeerCred, credentials);
        return new PeerCredentials(BinaryPrimitives.ReadInt32LittleEndian(credentials), BinaryPrimitives.ReadUInt32LittleEndian(credentials.AsSpan(4)));
    }
}
