namespace Shinano.Control.Configuration.Disks;

/// <summary>
/// Reads one disk in the forms of xl (<c>TARGET,FORMAT,VDEV,ACCESS,key=value,...</c>) and of xm (<c>PREFIX:TARGET,VDEV[:cdrom],ACCESS</c>). Bounded
/// by the text's length; never throws on content. Source: xl-disk-configuration(5).
/// </summary>
public sealed class DiskString
{
    private static readonly Dictionary<string, DiskFormat?> Formats = new(StringComparer.Ordinal)
    {
        ["raw"] = DiskFormat.Raw,
        ["qcow2"] = DiskFormat.Qcow2,
        [""] = null,
    };

    /// <summary>xl-disk-configuration(5), and formats that we have no reader for.</summary>
    private static readonly string[] OtherFormats = ["qcow", "vhd", "qed", "vdi", "vmdk", "aio"];

    private readonly string _text;
    private readonly List<string> _ignored = [];
    private string? _target;
    private string? _vdev;
    private bool _targetSeen;
    private bool _formatSeen;
    private bool _accessSeen;
    private DiskFormat? _format;
    private bool _readOnly;
    private bool _cdrom;
    private bool _volume;
    private bool _discard = true;
    private string? _problem;
    private int _problemAt;

    private DiskString(string text) => _text = text;

    /// <summary>Reads a disk.</summary>
    /// <param name="text">One string of the list.</param>
    /// <returns>The disk, or what is wrong with the text and at which of its characters; and keys that do nothing here.</returns>
    public static (DiskConfiguration? Disk, string? Problem, int At, IReadOnlyList<string> Ignored) Read(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        DiskString reader = new(text);
        DiskConfiguration? disk = reader.Read();
        return (disk, reader._problem, reader._problemAt, reader._ignored);
    }

    private DiskConfiguration? Read()
    {
        int start = 0;
        while (start <= _text.Length && _problem is null)
        {
            int begin = start;
            while (begin < _text.Length && char.IsWhiteSpace(_text[begin]))
            {
                begin++;
            }

            int end = _text.IndexOf(',', begin);
            end = end < 0 ? _text.Length : end;

            // target= takes all of the rest, commas too.
            if (_text.AsSpan(begin).StartsWith("target=", StringComparison.Ordinal))
            {
                SetTarget(_text[(begin + 7)..].Trim(), begin + 7);
                break;
            }

            Take(_text[begin..end].TrimEnd(), begin);
            start = end + 1;
        }

        return _problem is null ? Finish() : null;
    }

    private void Take(string part, int at)
    {
        int equals = part.IndexOf('=', StringComparison.Ordinal);
        bool isKey = equals > 0 && part.AsSpan(0, equals).IndexOfAnyExceptInRange('a', 'z') < 0;
        if (isKey)
        {
            TakeKey(part[..equals], part[(equals + 1)..], at + equals + 1, at);
        }
        else if (_targetSeen && part is "cdrom" or "disk" or "discard" or "no-discard" or "direct-io-safe")
        {
            TakeFlag(part);
        }
        else
        {
            TakePositional(part, at);
        }
    }

    private void TakeFlag(string flag)
    {
        _cdrom |= flag == "cdrom";
        _discard = flag switch
        {
            "discard" => true,
            "no-discard" => false,
            _ => _discard,
        };
    }

    private void TakeKey(string key, string value, int valueAt, int at)
    {
        switch (key)
        {
            case "format":
                SetFormat(value, valueAt);
                break;
            case "vdev":
                SetDevice(value, valueAt);
                break;
            case "access":
                SetAccess(value, valueAt);
                break;
            case "devtype":
                if (value is not ("cdrom" or "disk"))
                {
                    Fail($"devtype={Show(value)} is not one of cdrom, disk", valueAt);
                }

                _cdrom |= value == "cdrom";
                break;
            case "backendtype" or "backend" or "script" or "specification":
                _ignored.Add(key);
                break;
            default:
                Fail($"'{Show(key)}' is no key of a disk: format, vdev, access, devtype, backendtype, script, target", at);
                break;
        }
    }

    private void TakePositional(string part, int at)
    {
        if (!_targetSeen)
        {
            SetTarget(part, at);
        }
        else if (!_formatSeen && _vdev is null && (part.Length == 0 || Formats.ContainsKey(part) || OtherFormats.Contains(part)))
        {
            SetFormat(part, at);
        }
        else if (_vdev is null)
        {
            // With or without the format in between: xm had its place taken by the prefix.
            SetDevice(part, at);
        }
        else if (!_accessSeen)
        {
            SetAccess(part, at);
        }
        else if (part.Length > 0)
        {
            Fail($"'{Show(part)}' is one value too many: TARGET,FORMAT,VDEV,ACCESS", at);
        }
    }

    private void SetTarget(string target, int at)
    {
        if (_targetSeen)
        {
            Fail("the target is given twice", at);
            return;
        }

        _targetSeen = true;
        int colon = target.IndexOf(':', StringComparison.Ordinal);
        string prefix = colon > 0 && !target.AsSpan(0, colon).Contains('/') ? target[..colon] : "";
        switch (prefix)
        {
            case "phy" or "file":
                target = target[(colon + 1)..];
                break;
            case "tap" or "tap2" or "tapdisk":
                // xm: tap:aio:/path, tap:qcow2:/path.
                string rest = target[(colon + 1)..];
                int inner = rest.IndexOf(':', StringComparison.Ordinal);
                SetFormat(inner > 0 ? rest[..inner] is "aio" or "ram" ? "raw" : rest[..inner] : "raw", at + colon + 1);
                target = rest[(inner + 1)..];
                break;
            case "vol":
                _volume = true;
                target = target[(colon + 1)..];
                break;
            case "" or "raw" or "qcow2" or "qcow" or "vhd" or "qed" or "vmdk":
                if (colon > 0 && prefix.Length > 0)
                {
                    SetFormat(prefix, at);
                    target = target[(colon + 1)..];
                }

                break;
            default:
                Fail($"'{Show(prefix)}:' is no prefix of a disk: phy:, file:, raw:, qcow2:, vol:", at);
                return;
        }

        // The classic paths of zvols, block and raw device.
        string[] zvols = ["/dev/zvol/dsk/", "/dev/zvol/rdsk/"];
        if (Array.Find(zvols, start => target.StartsWith(start, StringComparison.Ordinal)) is { } zvol)
        {
            _volume = true;
            target = target[zvol.Length..];
        }

        if (target.AsSpan().ContainsAnyInRange('\0', '\x1f'))
        {
            Fail("the target has a control character in it", at);
        }

        if (_volume && (target.Length == 0 || target.StartsWith('/') || target.EndsWith('/') || target.Split('/').Any(name => name is "" or "." or "..") || !target.Contains('/', StringComparison.Ordinal)))
        {
            Fail($"'{Show(target)}' is no volume: POOL/VOLUME", at);
        }

        _target = target;
    }

    private void SetFormat(string format, int at)
    {
        if (Formats.TryGetValue(format, out DiskFormat? known))
        {
            _formatSeen = true;
            _format = known ?? _format;
        }
        else
        {
            Fail(OtherFormats.Contains(format) ? $"format {Show(format)} is not supported: raw and qcow2 are" : $"'{Show(format)}' is no format: raw, qcow2", at);
        }
    }

    private void SetDevice(string device, int at)
    {
        int colon = device.IndexOf(':', StringComparison.Ordinal);
        string name = colon < 0 ? device : device[..colon];
        if (colon >= 0)
        {
            string type = device[(colon + 1)..];
            if (type is not ("cdrom" or "disk"))
            {
                Fail($"'{Show(type)}' is not one of cdrom, disk", at + colon + 1);
            }

            _cdrom |= type == "cdrom";
        }

        name = name.StartsWith("/dev/", StringComparison.Ordinal) ? name[5..] : name;
        if (!VirtualDiskName.TryParse(name, out _))
        {
            Fail($"'{Show(name)}' is no virtual device: xvda, sda1, hdc, d0p0, ...", at);
        }

        _vdev = name;
    }

    private void SetAccess(string access, int at)
    {
        _accessSeen = true;
        switch (access)
        {
            case "" or "w" or "rw" or "w!":
                break;
            case "r" or "ro":
                _readOnly = true;
                break;
            default:
                Fail($"'{Show(access)}' is no access: r, ro, w, rw", at);
                break;
        }
    }

    private DiskConfiguration? Finish()
    {
        if (_vdev is null)
        {
            Fail("the virtual device is missing, e.g. xvda", 0);
            return null;
        }

        if (string.IsNullOrEmpty(_target) && !_cdrom)
        {
            Fail("the target is missing; only a cdrom may be empty", 0);
            return null;
        }

        VirtualDiskName.TryParse(_vdev, out int number);
        return new DiskConfiguration
        {
            Target = _volume || string.IsNullOrEmpty(_target) ? null : _target,
            Volume = _volume ? _target : null,
            Format = _format,
            VirtualDevice = VirtualDiskName.NameOf(number),
            Number = number,

            // xl-disk-configuration(5): a cdrom is read-only.
            ReadOnly = _readOnly || _cdrom,
            IsCdrom = _cdrom,
            Discard = _discard && !_cdrom && !_readOnly,
        };
    }

    private void Fail(string problem, int at)
    {
        if (_problem is null)
        {
            (_problem, _problemAt) = (problem, at);
        }
    }

    private static string Show(string text)
    {
        string cut = text.Length > 60 ? text[..57] + "..." : text;
        return string.Concat(cut.Select(c => char.IsControl(c) ? '?' : c));
    }
}
