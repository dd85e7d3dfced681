using System.Text.Json;
using StreamJsonRpc;

namespace Shinano.Network.Control;

/// <summary>Wires both ends of the control socket, so that they cannot disagree on framing or names.</summary>
public static class SwitchChannel
{
    /// <summary>Raised when <see cref="ISwitchControl"/> changes in a way an older side would misread.</summary>
    public const int ProtocolVersion = 1;

    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web);

    /// <summary>The switch's side of a connection.</summary>
    public static (JsonRpc Connection, ISwitchEvents Events) Serve(Stream stream, ISwitchControl target)
    {
        JsonRpc rpc = Create(stream);
        rpc.AddLocalRpcTarget<ISwitchControl>(target, null);
        ISwitchEvents events = rpc.Attach<ISwitchEvents>();
        rpc.StartListening();
        return (rpc, events);
    }

    /// <summary>xend's side.</summary>
    public static (JsonRpc Connection, ISwitchControl Switch) Connect(Stream stream, ISwitchEvents events)
    {
        JsonRpc rpc = Create(stream);
        rpc.AddLocalRpcTarget<ISwitchEvents>(events, null);
        ISwitchControl control = rpc.Attach<ISwitchControl>();
        rpc.StartListening();
        return (rpc, control);
    }

    private static JsonRpc Create(Stream stream) =>
        new(new LengthHeaderMessageHandler(stream, stream, new SystemTextJsonFormatter { JsonSerializerOptions = Options }))
        {
            ExceptionStrategy = ExceptionProcessing.CommonErrorData,
        };
}
