using StreamJsonRpc;

namespace Shinano.Control.Api.Domains;

/// <summary>Wires both ends of the control channel, so that they cannot disagree on framing, JSON or names.</summary>
public static class DomainControlChannel
{
    /// <summary>Raised when <see cref="IDomainProcess"/> changes in a way an older side would misread.</summary>
    public const int ProtocolVersion = 1;

    /// <summary>
    /// Bytes of the longest message either side takes. The longest there is, a full hypervisor log whose every character JSON escapes, takes less than a quarter of it.
    /// </summary>
    public const int MaximumMessage = 16 << 20;

    /// <summary>
    /// Domain process's side of one accepted connection. Returns the started connection (its <see cref="JsonRpc.Completion"/> ends with the
    /// connection) and the proxy to send events through. The stream is disposed with the connection.
    /// </summary>
    public static (JsonRpc Connection, IDomainEvents Events) Serve(Stream stream, IDomainProcess target)
    {
        JsonRpc rpc = Create(stream);
        rpc.AddLocalRpcTarget<IDomainProcess>(target, null);
        IDomainEvents events = rpc.Attach<IDomainEvents>();
        rpc.StartListening();
        return (rpc, events);
    }

    /// <summary>xend's side of one connection.</summary>
    public static (JsonRpc Connection, IDomainProcess Domain) Connect(Stream stream, IDomainEvents events)
    {
        JsonRpc rpc = Create(stream);
        rpc.AddLocalRpcTarget<IDomainEvents>(events, null);
        IDomainProcess domain = rpc.Attach<IDomainProcess>();
        rpc.StartListening();
        return (rpc, domain);
    }

    private static JsonRpc Create(Stream stream)
    {
        SystemTextJsonFormatter formatter = new() { JsonSerializerOptions = ControlJson.Options };
        return new JsonRpc(new BoundedMessageHandler(stream, formatter))
        {
            // Guest-independent code on both sides; call stacks of the other process are of no use to a person at a terminal.
            ExceptionStrategy = ExceptionProcessing.CommonErrorData,
        };
    }
}
