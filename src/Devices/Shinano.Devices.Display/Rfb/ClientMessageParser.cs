using System.Buffers.Binary;
using Shinano.Devices.Display.Surface;

namespace Shinano.Devices.Display.Rfb;

/// <summary>Reads a viewer's messages (RFC 6143 §7.5). Pure; the bytes are hostile.</summary>
public static class ClientMessageParser
{
    /// <summary>Bytes of the longest message, clipboard text left out.</summary>
    public const int MaximumMessage = 4 + (4 * MaximumEncodings);

    /// <summary>Encodings that one message may name. Viewers name about twenty.</summary>
    public const int MaximumEncodings = 512;

    /// <summary>Bytes of clipboard text that are skipped; more than that is no clipboard.</summary>
    public const int MaximumCutText = 4 << 20;

    private const int MaximumScreens = 255;

    /// <summary>Reads the first message.</summary>
    /// <param name="bytes">What has come, from a message's first byte on.</param>
    /// <param name="message">The message when it is complete.</param>
    /// <param name="consumed">Bytes of it.</param>
    /// <param name="fault">Why it is malformed.</param>
    public static ParseStatus TryParse(ReadOnlySpan<byte> bytes, out ClientMessage? message, out int consumed, out string? fault)
    {
        message = null;
        consumed = 0;
        fault = null;
        if (bytes.IsEmpty)
        {
            return ParseStatus.NeedMore;
        }

        int length = LengthOf(bytes, out fault);
        if (fault is not null)
        {
            return ParseStatus.Malformed;
        }

        if (length == 0 || bytes.Length < length)
        {
            return ParseStatus.NeedMore;
        }

        message = Read(bytes[..length], out fault);
        consumed = length;
        return fault is null ? ParseStatus.Complete : ParseStatus.Malformed;
    }

    /// <summary>Bytes of the message that begins here; 0 when that cannot be told yet.</summary>
    private static int LengthOf(ReadOnlySpan<byte> bytes, out string? fault)
    {
        fault = null;
        switch (bytes[0])
        {
            case 0:
                return 20;
            case 2 when bytes.Length < 4:
                return 0;
            case 2:
                int count = BinaryPrimitives.ReadUInt16BigEndian(bytes[2..]);
                fault = count > MaximumEncodings ? $"{count} encodings; {MaximumEncodings} are enough for everyone" : null;
                return 4 + (4 * count);
            case 3:
                return 10;
            case 4:
                return 8;
            case 5:
                return 6;
            case 6:
                return 8;
            case 251 when bytes.Length < 7:
                return 0;
            case 251:
                fault = bytes[6] > MaximumScreens ? "too many screens" : null;
                return 8 + (16 * bytes[6]);
            case 255 when bytes.Length < 2:
                return 0;
            case 255 when bytes[1] == 0:
                return 12;
            case 255:
                fault = $"submessage {bytes[1]} of QEMU's message is unknown";
                return 0;
            default:
                fault = $"message type {bytes[0]} is unknown";
                return 0;
        }
    }

    private static ClientMessage? Read(ReadOnlySpan<byte> bytes, out string? fault)
    {
        fault = null;
        switch (bytes[0])
        {
            case 0:
                return new ClientMessage.SetPixelFormat(WirePixelFormat.Read(bytes.Slice(4, WirePixelFormat.Length), out bool isTrueColour), isTrueColour);
            case 2:
                int[] encodings = new int[(bytes.Length - 4) / 4];
                for (int i = 0; i < encodings.Length; i++)
                {
                    encodings[i] = BinaryPrimitives.ReadInt32BigEndian(bytes[(4 + (4 * i))..]);
                }

                return new ClientMessage.SetEncodings(encodings);
            case 3:
                return new ClientMessage.UpdateRequest(
                    new PixelArea(Word(bytes, 2), Word(bytes, 4), Word(bytes, 6), Word(bytes, 8)), Incremental: bytes[1] != 0);
            case 4:
                return new ClientMessage.Key(BinaryPrimitives.ReadUInt32BigEndian(bytes[4..]), 0, bytes[1] != 0);
            case 5:
                return new ClientMessage.Pointer(Word(bytes, 2), Word(bytes, 4), bytes[1]);
            case 6:
                uint text = BinaryPrimitives.ReadUInt32BigEndian(bytes[4..]);
                fault = text > MaximumCutText ? $"a clipboard of {text} bytes" : null;
                return fault is null ? new ClientMessage.CutText((int)text) : null;
            case 251:
                return new ClientMessage.SetDesktopSize(Word(bytes, 2), Word(bytes, 4));
            default:
                return new ClientMessage.Key(
                    BinaryPrimitives.ReadUInt32BigEndian(bytes[4..]), BinaryPrimitives.ReadUInt32BigEndian(bytes[8..]), Word(bytes, 2) != 0);
        }
    }

    private static int Word(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt16BigEndian(bytes[offset..]);
}
