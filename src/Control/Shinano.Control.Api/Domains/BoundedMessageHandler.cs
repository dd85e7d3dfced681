using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using StreamJsonRpc;
using StreamJsonRpc.Protocol;

namespace Shinano.Control.Api.Domains;

/// <summary>
/// Messages behind a 4-byte big-endian length, of a bounded size: a domain process that was taken over cannot make xend fill its memory with
/// one message. A longer one ends the connection before its body is read.
/// </summary>
internal sealed class BoundedMessageHandler(Stream stream, IJsonRpcMessageFormatter formatter) : LengthHeaderMessageHandler(stream, stream, formatter)
{
    private const int HeaderSize = 4;

    /// <inheritdoc/>
    protected override async ValueTask<JsonRpcMessage?> ReadCoreAsync(CancellationToken cancellationToken)
    {
        PipeReader reader = Reader ?? throw new InvalidOperationException("a control channel is read from");
        ReadResult read = await reader.ReadAtLeastAsync(HeaderSize, cancellationToken);
        uint length = read.Buffer.Length < HeaderSize ? 0 : Length(read.Buffer);

        // Nothing is taken: the base class reads the header again.
        reader.AdvanceTo(read.Buffer.Start);
        return length <= DomainControlChannel.MaximumMessage
            ? await base.ReadCoreAsync(cancellationToken)
            : throw new InvalidDataException($"a message of {length} bytes on the control channel; {DomainControlChannel.MaximumMessage} are allowed");
    }

    private static uint Length(ReadOnlySequence<byte> input)
    {
        Span<byte> header = stackalloc byte[HeaderSize];
        input.Slice(0, HeaderSize).CopyTo(header);
        return BinaryPrimitives.ReadUInt32BigEndian(header);
    }
}
