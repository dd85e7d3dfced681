using System.Buffers;
using System.Security.Cryptography;
using Shinano.Devices.Display.Rfb.Security;
using Shinano.Devices.Display.Surface;

namespace Shinano.Devices.Display.Rfb;

/// <summary>
/// The beginning of a connection, as the server sees it: versions, security, initialisation. Pure: takes what the viewer sent, writes what to answer.
/// </summary>
/// <remarks>
/// Source: RFC 6143 §7.1 to §7.3; 3.3 and 3.7 as its appendix A says.
/// <code>
/// version -> [choice (3.7, 3.8)] -> [response (with a password)] -> ClientInit -> done
/// </code>
/// </remarks>
public sealed class Handshake : IDisposable
{
    private const byte SecurityNone = 1;
    private const byte SecurityVnc = 2;
    private const int VersionLength = 12;
    private readonly string? _password;
    private readonly AttemptLimit _attempts;
    private readonly byte[] _challenge = RandomNumberGenerator.GetBytes(VncChallenge.Length);
    private Step _step = Step.Version;
    private int _minor;
    private bool _attempting;

    /// <param name="password">Null for none.</param>
    /// <param name="attempts">Shared by all connections to one password.</param>
    public Handshake(string? password, AttemptLimit attempts)
    {
        _password = password;
        _attempts = attempts;
    }

    private enum Step
    {
        Version,
        Choice,
        Response,
        Init,
        Done,
        Failed,
    }

    /// <summary>The viewer is in; ServerInit is to be sent.</summary>
    public bool IsDone => _step == Step.Done;

    /// <summary>The connection ends once the answer was sent.</summary>
    public bool IsFailed => _step == Step.Failed;

    /// <summary>Why it failed, for the log.</summary>
    public string? Fault { get; private set; }

    /// <summary>What the server says first.</summary>
    public static void Begin(IBufferWriter<byte> output) => output.Write("RFB 003.008\n"u8);

    /// <summary>ServerInit, RFC 6143 §7.3.2.</summary>
    public static void WriteServerInit(IBufferWriter<byte> output, int width, int height, PixelFormat format, string name)
    {
        output.UInt16(width);
        output.UInt16(height);
        WirePixelFormat.Write(output.GetSpan(WirePixelFormat.Length), format);
        output.Advance(WirePixelFormat.Length);
        output.Text(name);
    }

    /// <summary>Takes bytes of the viewer, at most one step's.</summary>
    /// <returns>Bytes used; 0 when more are needed, or the handshake is over.</returns>
    public int Feed(ReadOnlySpan<byte> input, IBufferWriter<byte> output)
    {
        int needed = _step switch
        {
            Step.Version => VersionLength,
            Step.Choice or Step.Init => 1,
            Step.Response => VncChallenge.Length,
            _ => 0,
        };
        if (needed == 0 || input.Length < needed)
        {
            return 0;
        }

        ReadOnlySpan<byte> bytes = input[..needed];
        switch (_step)
        {
            case Step.Version:
                OnVersion(bytes, output);
                break;
            case Step.Choice:
                OnChoice(bytes[0], output);
                break;
            case Step.Response:
                OnResponse(bytes, output);
                break;
            default:
                // Shared or not: every viewer is, so that none can turn out the others.
                _step = Step.Done;
                break;
        }

        return needed;
    }

    /// <summary>Gives an attempt back that was not finished.</summary>
    public void Dispose() => EndAttempt(null);

    private void OnVersion(ReadOnlySpan<byte> text, IBufferWriter<byte> output)
    {
        if (!text.StartsWith("RFB 003."u8) || text[11] != (byte)'\n' || !TryDigits(text.Slice(8, 3), out int minor))
        {
            Fail("the viewer does not speak RFB 3", null);
            return;
        }

        // RFC 6143 §7.1.1: other versions are to be taken as 3.3; those above 3.8 are of viewers that know 3.8.
        _minor = minor >= 8 ? 8 : minor == 7 ? 7 : 3;
        if (_password is not null)
        {
            _attempting = _attempts.TryBegin();
            if (!_attempting)
            {
                if (_minor == 3)
                {
                    output.UInt32(0);
                }
                else
                {
                    output.Byte(0);
                }

                output.Text("Too many wrong passwords: try again later");
                Fail("too many wrong passwords", null);
                return;
            }
        }

        byte type = _password is null ? SecurityNone : SecurityVnc;
        if (_minor == 3)
        {
            output.UInt32(type);
            BeginSecurity(output);
        }
        else
        {
            output.Byte(1);
            output.Byte(type);
            _step = Step.Choice;
        }
    }

    private void OnChoice(byte type, IBufferWriter<byte> output)
    {
        if (type != (_password is null ? SecurityNone : SecurityVnc))
        {
            Fail($"the viewer chose security type {type}, which was not offered", output);
            return;
        }

        if (_password is null && _minor == 8)
        {
            output.UInt32(0);
        }

        BeginSecurity(output);
    }

    private void BeginSecurity(IBufferWriter<byte> output)
    {
        if (_password is null)
        {
            _step = Step.Init;
            return;
        }

        output.Write(_challenge);
        _step = Step.Response;
    }

    private void OnResponse(ReadOnlySpan<byte> response, IBufferWriter<byte> output)
    {
        bool right = VncChallenge.IsRight(_password!, _challenge, response);
        EndAttempt(right);
        if (right)
        {
            output.UInt32(0);
            _step = Step.Init;
        }
        else
        {
            Fail("wrong password", output);
        }
    }

    /// <param name="output">Where SecurityResult belongs (RFC 6143 §7.1.3); null when it does not.</param>
    private void Fail(string fault, IBufferWriter<byte>? output)
    {
        Fault = fault;
        _step = Step.Failed;
        if (output is not null)
        {
            output.UInt32(1);
            if (_minor == 8)
            {
                output.Text("Authentication failed");
            }
        }
    }

    private void EndAttempt(bool? succeeded)
    {
        if (_attempting)
        {
            _attempting = false;
            _attempts.Finish(succeeded);
        }
    }

    private static bool TryDigits(ReadOnlySpan<byte> digits, out int value)
    {
        value = 0;
        foreach (byte digit in digits)
        {
            if (digit is < (byte)'0' or > (byte)'9')
            {
                return false;
            }

            value = (value * 10) + digit - '0';
        }

        return true;
    }
}
